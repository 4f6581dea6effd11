import { useState } from 'react'
import { useScreens, importSvg } from './api'
import { useAct, Refusal } from '../components/records'
import { Button, Select } from '../components/ui'
import { t } from '../i18n'
import { useAssets } from '../api/queries'
import { change, reshape, type Ids } from './edit'
import { baseOf, boxOf, nameOf, SLOT_NAMES, specOf, SYMBOLS, unionOf, type Doc, type Element, type Place, type Slot, type Target } from './model'
import { AssetPicker, NumberField, TagPicker, TextBox } from './pickers'
import { elementName } from './runtime'
import { Drawn, Patterns } from './symbols'

interface Props {
  doc: Doc
  asset: string
  chosen: Ids
  onChange: (doc: Doc, key?: string) => void
  onChoose: (ids: Set<string>) => void
}

/** What is chosen, in numbers and bindings; with nothing chosen the screen itself and all its objects. */
export function Properties(props: Props) {
  const some = props.doc.elements.filter((one) => props.chosen.has(one.id))
  const one = some.length === 1 ? some[0] : undefined
  if (!some.length) return <ScreenProperties {...props} />
  return (
    <div className="ed-props">
      <header className="panel-head">
        <h2>{one ? t(nameOf(one)) : t('{{count}} objects', { count: some.length })}</h2>
        <span className="muted small">{one ? one.id : t('of {{count}} objects', { count: props.doc.elements.length })}</span>
      </header>
      <div className="pad ed-fields">
        <PlaceFields doc={props.doc} chosen={props.chosen} elements={some} onChange={props.onChange} />
        {one ? <OneElement key={one.id} element={one} {...props} /> : null}
      </div>
    </div>
  )
}

function PlaceFields({ doc, chosen, elements, onChange }: { doc: Doc; chosen: Ids; elements: readonly Element[]; onChange: Props['onChange'] }) {
  const box = unionOf(elements.map(boxOf))
  const set = (part: Partial<Place>): void => onChange(reshape(doc, chosen, { ...box, ...part }), 'place')
  return (
    <div className="ed-place">
      <NumberField label="X" value={box.x} onChange={(x) => set({ x })} />
      <NumberField label="Y" value={box.y} onChange={(y) => set({ y })} />
      <NumberField label={t('W')} value={box.w} min={1} max={8000} onChange={(w) => set({ w })} />
      <NumberField label={t('H')} value={box.h} min={1} max={8000} onChange={(h) => set({ h })} />
    </div>
  )
}

const SPANS: readonly (readonly [string, string])[] = [['600', '10 min'], ['3600', '1 h'], ['28800', '8 h'], ['86400', '24 h']]
const SIZES = ['12', '14', '16', '20', '24', '40'].map((size) => [size, `${size} px`] as const)

function OneElement({ element, doc, asset, onChange }: Props & { element: Element }) {
  const set = (part: Record<string, unknown>, key = ''): void =>
    onChange(change(doc, element.id, (one) => tidy({ ...one, ...part }) as Element), key ? `${key} ${element.id}` : '')
  const base = baseOf(element, asset)
  return (
    <>
      {element.kind === 'symbol' ? (
        <Select label={t('Symbol')} value={element.symbol} options={Object.entries(SYMBOLS).map(([key, spec]) => [key, t(spec.name)] as const)} onChange={(symbol) => set({ symbol, bind: keep(element.bind ?? {}, specOf(symbol as typeof element.symbol).slots) })} />
      ) : null}
      {element.kind === 'text' ? <TextBox label={t('Text')} value={element.text} rows={2} max={2000} onChange={(text) => set({ text }, 'text')} /> : null}
      {element.kind !== 'text' && element.kind !== 'pipe' && element.kind !== 'shape' && element.kind !== 'image' ? (
        <TextBox label={t('Label')} value={element.label ?? ''} onChange={(label) => set({ label: label || undefined }, 'label')} hint={element.kind === 'symbol' ? t('{asset.name} stands for the name of the asset.') : ''} />
      ) : null}
      {'asset' in element || 'bind' in element || element.kind === 'trend' || element.kind === 'table' ? (
        <AssetPicker label={t('Asset')} value={('asset' in element && element.asset) || ''} base={asset} onChange={(path) => set({ asset: path || undefined })} />
      ) : null}
      {'bind' in element || element.kind === 'symbol' ? <Bindings element={element} base={base} set={set} /> : null}
      {element.kind === 'trend' ? <Paths name={t('Pen')} most={4} paths={element.pens ?? []} base={base} onChange={(pens) => set({ pens })} /> : null}
      {element.kind === 'table' ? <Paths name={t('Row')} most={20} paths={element.rows ?? []} base={base} onChange={(rows) => set({ rows })} /> : null}
      {element.kind === 'trend' || element.kind === 'spark' ? <Select label={t('Time')} value={String(element.span_s ?? 3600)} options={SPANS} onChange={(span) => set({ span_s: Number(span) })} /> : null}
      {element.kind === 'text' || element.kind === 'value' ? <Select label={t('Size')} value={String(element.size ?? 14)} options={SIZES} onChange={(size) => set({ size: Number(size) })} /> : null}
      {element.kind === 'text' ? (
        <>
          <Check label={t('Bold')} on={element.bold ?? false} onChange={(bold) => set({ bold: bold || undefined })} />
          <Select label={t('Aligned')} value={element.align ?? 'left'} options={[['left', t('left')], ['middle', t('centre')], ['right', t('right')]]} onChange={(align) => set({ align })} />
        </>
      ) : null}
      {element.kind === 'pipe' ? <PipeFields element={element} set={set} /> : null}
      {element.kind === 'button' ? <TargetFields target={element.to} asset={asset} onChange={(to) => set({ to })} /> : null}
      {element.kind === 'symbol' ? (
        <>
          <Select label={t('Turned')} value={String(element.rotate ?? 0)} options={[['0', '0°'], ['90', '90°'], ['180', '180°'], ['270', '270°']]} onChange={(turn) => set({ rotate: Number(turn) || undefined })} />
          <Check label={t('Mirrored')} on={element.flip ?? false} onChange={(flip) => set({ flip: flip || undefined })} />
        </>
      ) : null}
      {'on_click' in element || element.kind === 'symbol' || element.kind === 'value' || element.kind === 'indicator' ? (
        <Select label={t('On click')} value={('on_click' in element && element.on_click) || 'none'} options={[['asset', t('open the asset')], ['none', t('nothing')]]} onChange={(on_click) => set({ on_click })} />
      ) : null}
      {element.kind === 'image' ? <Check label={t('Faint, as a background')} on={element.faint ?? false} onChange={(faint) => set({ faint: faint || undefined })} /> : null}
      {element.kind === 'shape' ? (
        <Select label={t('Filled')} value={element.fill ?? 'none'} options={[['none', t('nothing')], ['panel', t('light')], ['well', t('middle')], ['symbol', t('dark')]]} onChange={(fill) => set({ fill })} />
      ) : null}
      {element.kind === 'symbol' ? <States element={element} /> : null}
    </>
  )
}

/** What is not said is left out. */
function tidy(element: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(element).filter(([, value]) => value !== undefined))
}
const keep = (bind: Partial<Record<Slot, string>>, slots: readonly Slot[]): Partial<Record<Slot, string>> =>
  Object.fromEntries(Object.entries(bind).filter(([slot]) => slots.includes(slot as Slot)))

function Bindings({ element, base, set }: { element: Element; base: string; set: (part: Record<string, unknown>) => void }) {
  const slots: readonly Slot[] = element.kind === 'symbol' ? specOf(element.symbol).slots : element.kind === 'state' ? ['state'] : ['value']
  const bind = ('bind' in element && element.bind) || {}
  return (
    <fieldset className="ed-bindings">
      <legend>{t('Bindings')}</legend>
      {slots.map((slot) => (
        <TagPicker key={slot} label={t(SLOT_NAMES[slot])} value={bind[slot] ?? ''} base={base} onChange={(path) => set({ bind: tidy({ ...bind, [slot]: path || undefined }) })} />
      ))}
    </fieldset>
  )
}

function Paths({ name, most, paths, base, onChange }: { name: string; most: number; paths: readonly string[]; base: string; onChange: (paths: string[]) => void }) {
  const set = (i: number, path: string): void => onChange([...paths.slice(0, i), ...(path ? [path] : []), ...paths.slice(i + 1)])
  return (
    <fieldset className="ed-bindings">
      <legend>{t('Bindings')}</legend>
      {[...paths, ...(paths.length < most ? [''] : [])].map((path, i) => (
        <TagPicker key={`${i} ${path}`} label={`${name} ${i + 1}`} value={path} base={base} onChange={(to) => set(i, to)} />
      ))}
    </fieldset>
  )
}

function PipeFields({ element, set }: { element: Extract<Element, { kind: 'pipe' }>; set: (part: Record<string, unknown>) => void }) {
  return (
    <>
      <Select label={t('Line')} value={element.line ?? 'main'} options={[['main', t('main flow')], ['secondary', t('secondary')], ['signal', t('signal')]]} onChange={(line) => set({ line })} />
      <Check label={t('Arrow at its end')} on={element.arrow ?? false} onChange={(arrow) => set({ arrow: arrow || undefined })} />
      <p className="muted small">{[element.from ? t('begins at {{id}}', { id: element.from.id }) : '', element.to ? t('ends at {{id}}', { id: element.to.id }) : ''].filter(Boolean).join(', ')}</p>
    </>
  )
}

function TargetFields({ target, asset, onChange }: { target: Target; asset: string; onChange: (to: Target) => void }) {
  const screens = useScreens()
  const options: (readonly [string, string])[] = [
    ...(['overview', 'asset', 'alarms', 'trends', 'tags', 'screens'] as const).map((page) => [`page:${page}`, { overview: t('Overview'), asset: t('Asset'), alarms: t('Alarms'), trends: t('Trends'), tags: t('Tags'), screens: t('Screens') }[page]] as const),
    ...(screens.data ?? []).map((one) => [`screen:${one.id}`, one.title] as const),
  ]
  const value = target.screen !== undefined ? `screen:${target.screen}` : `page:${target.page ?? 'overview'}`
  const of = target.asset ? { asset: target.asset } : {}
  return (
    <>
      <Select label={t('Leads to')} value={value} options={options} onChange={(key) => onChange(key.startsWith('screen:') ? { screen: key.slice(7), ...of } : { page: key.slice(5), ...of })} />
      <AssetPicker label={t('For the asset')} value={target.asset ?? ''} base={asset} onChange={(path) => onChange({ ...(target.screen !== undefined ? { screen: target.screen } : { page: target.page ?? 'overview' }), ...(path ? { asset: path } : {}) })} />
    </>
  )
}

export function Check({ label, on, onChange }: { label: string; on: boolean; onChange: (on: boolean) => void }) {
  return (
    <label className="check">
      <input type="checkbox" checked={on} onChange={(event) => onChange(event.target.checked)} />
      {label}
    </label>
  )
}

/** How the symbol will look in each state, before any device says so. */
function States({ element }: { element: Extract<Element, { kind: 'symbol' }> }) {
  const { w, h } = specOf(element.symbol)
  const states = [['running', 'good', t('running')], ['stopped', 'good', t('stopped')], ['waiting', 'good', t('waits')], ['bad', 'bad', t('bad data')]] as const
  return (
    <div className="ed-states" role="group" aria-label={t('Its looks')}>
      {states.map(([run, quality, word]) => (
        <figure key={run}>
          <svg className="screen" width="44" height="44" viewBox={`-4 -4 ${Math.max(w, h) + 8} ${Math.max(w, h) + 8}`} aria-hidden="true">
            <Patterns />
            <g className="el el-of-symbol" data-run={run} data-q={quality} transform={`translate(${(Math.max(w, h) - w) / 2} ${(Math.max(w, h) - h) / 2})`}>
              <Drawn id={`look-${run}`} symbol={element.symbol} w={w} h={h} />
              <path className="sy-cross" d={`M${w * 0.2} ${h * 0.2}L${w * 0.8} ${h * 0.8}M${w * 0.8} ${h * 0.2}L${w * 0.2} ${h * 0.8}`} />
            </g>
          </svg>
          <figcaption>{word}</figcaption>
        </figure>
      ))}
    </div>
  )
}

function ScreenProperties({ doc, asset, onChange, onChoose }: Props) {
  const assets = useAssets()
  const types = [...new Set((assets.data ?? []).map((one) => one.type).filter(Boolean))].sort()
  const set = (part: Partial<Record<keyof Doc, unknown>>, key = ''): void => onChange(tidy({ ...doc, ...part }) as unknown as Doc, key)
  return (
    <div className="ed-props">
      <header className="panel-head">
        <h2>{t('Screen')}</h2>
        <span className="muted small">{t('{{count}} objects', { count: doc.elements.length })}</span>
      </header>
      <div className="pad ed-fields">
        <TextBox label={t('Title')} value={doc.title} max={120} onChange={(title) => set({ title }, 'title')} />
        <TextBox label={t('Description')} value={doc.description ?? ''} rows={2} max={1000} onChange={(description) => set({ description: description || undefined }, 'description')} />
        <div className="ed-place">
          <NumberField label={t('W')} value={doc.width} min={100} max={8000} onChange={(width) => set({ width })} />
          <NumberField label={t('H')} value={doc.height} min={100} max={8000} onChange={(height) => set({ height })} />
          <NumberField label={t('Grid')} value={doc.grid ?? 8} min={1} max={100} onChange={(grid) => set({ grid })} />
        </div>
        <AssetPicker label={t('Shows the asset')} value={doc.asset ?? ''} base="" hint={t('Bindings such as ./speed mean this asset, unless another one is asked for.')} onChange={(path) => set({ asset: path || undefined })} />
        <Select label={t('Template for')} value={doc.type ?? ''} options={[['', t('no type')], ...types.map((type) => [type, type] as const)]} onChange={(type) => set({ type: type || undefined })} />
        <h3>{t('Objects')}</h3>
        <ul className="ed-objects" aria-label={t('Objects')}>
          {[...doc.elements].reverse().map((element) => (
            <li key={element.id}>
              <button type="button" className="button quiet" onClick={() => onChoose(new Set([element.id]))}>
                <span>{elementName(element, asset)}</span> <small className="muted">{element.id}</small>
              </button>
            </li>
          ))}
        </ul>
      </div>
    </div>
  )
}

const MOST_PICTURE = 700_000

/** A drawing or a picture of another program, as a background. What was taken out of it is told. */
export function ImportDrawing({ onTaken }: { onTaken: (source: string, w: number, h: number) => void }) {
  const act = useAct()
  const [told, setTold] = useState<string[]>()
  const take = async (file: File): Promise<void> => {
    setTold(undefined)
    await act.run(async () => {
      if (/svg/.test(file.type) || file.name.toLowerCase().endsWith('.svg')) {
        const made = await importSvg(await file.text())
        setTold(made.told.map((one) => `${one.count} × ${one.what}`))
        onTaken(made.source, made.width, made.height)
        return
      }
      if (!/^image\/(png|jpeg)$/.test(file.type)) throw new Error(t('Only SVG, PNG and JPEG can be taken.'))
      if (file.size > MOST_PICTURE) throw new Error(t('The picture is larger than {{n}} kB.', { n: MOST_PICTURE / 1000 }))
      const source = await new Promise<string>((done, failed) => {
        const reader = new FileReader()
        reader.onload = () => done(String(reader.result))
        reader.onerror = () => failed(reader.error ?? new Error('unreadable'))
        reader.readAsDataURL(file)
      })
      const size = await createImageBitmap(file)
      onTaken(source, size.width, size.height)
      size.close()
    })
  }
  return (
    <div className="ed-import">
      <label className="button">
        <input className="sr" type="file" accept=".svg,image/svg+xml,image/png,image/jpeg" onChange={(event) => {
          const file = event.target.files?.[0]
          if (file) void take(file)
          event.target.value = ''
        }} />
        {act.busy ? t('Reading …') : t('Import a drawing')}
      </label>
      <Refusal error={act.error} />
      {told ? (
        <div role="status" className="small">
          {told.length ? (
            <>
              <p>{t('Taken out for safety:')}</p>
              <ul className="ed-told">
                {told.map((one) => (
                  <li key={one}>{one}</li>
                ))}
              </ul>
            </>
          ) : (
            t('Taken as it is: there was nothing to take out.')
          )}
          <Button kind="link" onPress={() => setTold(undefined)}>{t('Close')}</Button>
        </div>
      ) : null}
    </div>
  )
}
