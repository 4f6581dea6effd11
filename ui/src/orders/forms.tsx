import { useState, type ReactNode } from 'react'
import { post, put } from '../api/client'
import { useAssets } from '../api/queries'
import { ChoiceField, SheetForm, TextField, written } from '../components/records'
import { Button } from '../components/ui'
import { m, t } from '../i18n'
import { amount, useProducts, type LotDetail, type OrderDetail, type OrderJob, type Person, type Point, type Product, type Reading } from './data'

type Routing = OrderDetail['routing'][number]
type Step = NonNullable<Routing['steps']>[number]
interface Shut {
  shut: () => void
}

const optional = (form: FormData, name: string): string | undefined => written(form, name) || undefined
const lines = (form: FormData, name: string): string[] => written(form, name).split('\n').map((one) => one.trim()).filter(Boolean)
const iso = (local: string): string | undefined => (local ? new Date(local).toISOString() : undefined)
const order = (id: string, verb: string): string => `orders/${encodeURIComponent(id)}/${verb}`

function Pair({ children }: { children: ReactNode }) {
  return <div className="order-pair">{children}</div>
}

export function NewOrder({ shut, open }: Shut & { open: (id: string) => void }) {
  const products = useProducts()
  const made = (products.data ?? []).filter((one) => one.made)
  const send = async (form: FormData): Promise<void> => {
    const found = await post<{ id: string }>('orders', {
      id: written(form, 'id'),
      product: written(form, 'product'),
      quantity: written(form, 'quantity'),
      due: iso(written(form, 'due')) ?? null,
      priority: Number(written(form, 'priority')),
      reference: written(form, 'reference'),
      note: written(form, 'note'),
    })
    open(found.id)
  }
  return (
    <SheetForm title={t('New order')} verb={t('Plan it')} onClose={shut} send={send}>
      <ChoiceField name="product" label={t('Product')} options={made.map((one) => [one.id, `${one.id} · ${one.name}`])} />
      <Pair>
        <TextField name="quantity" label={t('Quantity')} />
        <TextField name="priority" label={t('Priority, 1 is first')} type="number" defaultValue="5" />
      </Pair>
      <TextField name="due" label={t('Due')} type="datetime-local" required={false} />
      <Pair>
        <TextField name="id" label={t('Number')} hint={t('Empty: the next one')} required={false} />
        <TextField name="reference" label={t('Number in the business system')} required={false} />
      </Pair>
      <TextField name="note" label={t('Note')} required={false} />
    </SheetForm>
  )
}

const MOVE_WORDS = { release: m('Release'), start: m('Start'), pause: m('Pause'), resume: m('Resume'), complete: m('Complete'), close: m('Close order'), cancel: m('Cancel order') }
export type Verb = keyof typeof MOVE_WORDS
export const verbWord = (verb: Verb): string => t(MOVE_WORDS[verb])

type Run = OrderDetail['runs'][number]
const local = (iso: string): string => new Date(iso).toLocaleString(undefined, { dateStyle: 'short', timeStyle: 'short' })
const spanOf = (run: Run): string => `${local(run.start)} – ${run.end === null ? '' : local(run.end)}, ${run.asset}`

/** When an operation ran that nobody entered in time, or at other times than was entered: for who may correct, with a reason. */
export function PastForm({ one, job, routing, shut }: Shut & { one: OrderDetail; job: OrderJob; routing: Routing | undefined }) {
  const runs = job.state === 'running'
  const completed = job.state === 'completed'
  const over = one.runs.filter((run) => run.operation === job.operation && run.end !== null).reverse()
  const [run, setRun] = useState(completed ? String(over[0]?.id ?? 0) : '0')
  const places = runs || run !== '0' ? [] : (routing?.assets ?? [])
  const choices = [...(completed ? [] : [['0', runs ? t('What runs now') : t('A time nobody entered')] as const]), ...over.map((each) => [String(each.id), spanOf(each)] as const)]
  const moves = run !== '0'
  const send = (form: FormData): Promise<unknown> =>
    post(order(one.id, 'past'), {
      base: one.rev,
      operation: job.operation,
      ...(places.length ? { asset: written(form, 'asset') } : {}),
      run: Number(run),
      start: iso(written(form, 'start')) ?? '',
      end: iso(written(form, 'end')) ?? '',
      complete: form.get('complete') !== null,
      reason: written(form, 'reason'),
    })
  const what = `${one.id}, ${job.name}`
  return (
    <SheetForm title={completed ? t('Correct times: {{order}}', { order: what }) : t('Enter afterwards: {{order}}', { order: what })} verb={t('Save')} onClose={shut} send={send}>
      <p className="muted small">{t('Figures of that time are computed again; what differs is kept. Nothing else may have run there.')}</p>
      {choices.length > 1 ? (
        <label className="field">
          <span>{t('Which run')}</span>
          <select value={run} onChange={(event) => setRun(event.target.value)}>
            {choices.map(([id, text]) => (
              <option key={id} value={id}>
                {text}
              </option>
            ))}
          </select>
        </label>
      ) : completed && over[0] ? (
        <p className="small">{spanOf(over[0])}</p>
      ) : null}
      {places.length ? <ChoiceField name="asset" label={t('Where')} options={places.map((path) => [path, path])} defaultValue={job.asset || places[0] || ''} /> : null}
      <Pair>
        <TextField name="start" label={t('Began')} type="datetime-local" required={!runs && !moves} hint={runs || moves ? t('Empty: as it is') : ''} />
        <TextField name="end" label={t('Ended')} type="datetime-local" required={false} hint={moves ? t('Empty: as it is') : t('Empty: it goes on')} />
      </Pair>
      {moves ? null : (
        <label className="check">
          <input type="checkbox" name="complete" />
          {t('It was complete then')}
        </label>
      )}
      <TextField name="reason" label={t('Reason')} />
    </SheetForm>
  )
}

/** Moves an order on; asks only for what is needed: the place where there are several, a reason where one may be. */
export function MoveForm({ one, verb, job, routing, shut }: Shut & { one: OrderDetail; verb: Verb; job?: OrderJob; routing?: Routing }) {
  const places = verb === 'start' || verb === 'resume' ? (routing?.assets ?? []) : []
  const send = (form: FormData): Promise<unknown> => {
    const where = job ? { operation: job.operation, ...(places.length ? { asset: written(form, 'asset') } : {}) } : {}
    const why = places.length ? {} : { reason: written(form, 'reason') }
    return post(order(one.id, verb), { base: one.rev, ...where, ...why })
  }
  return (
    <SheetForm title={t('{{verb}}: {{order}}', { verb: verbWord(verb), order: job ? `${one.id}, ${job.name}` : one.id })} verb={verbWord(verb)} onClose={shut} send={send}>
      {places.length ? (
        <ChoiceField name="asset" label={t('Where')} options={places.map((path) => [path, path])} defaultValue={job?.asset || places[0] || ''} />
      ) : (
        <TextField name="reason" label={t('Reason')} required={verb === 'cancel'} hint={verb === 'complete' ? t('Needed where more or less was made than ordered') : ''} />
      )}
    </SheetForm>
  )
}

/** Scrap, rework, good pieces by hand: a quantity of an operation. */
export function LossForm({ one, job, kind, reasons, shut }: Shut & { one: OrderDetail; job: OrderJob; kind: 'scrap' | 'rework' | 'report'; reasons: readonly string[] }) {
  const title = kind === 'scrap' ? t('Scrap') : kind === 'rework' ? t('Rework') : t('Good pieces')
  const send = (form: FormData): Promise<unknown> =>
    post(order(one.id, kind), { operation: job.operation, quantity: written(form, 'quantity'), ...(kind === 'report' ? {} : { reason: written(form, 'reason') }) })
  return (
    <SheetForm title={`${title}: ${one.id}, ${job.name}`} verb={t('Record')} onClose={shut} send={send}>
      <TextField name="quantity" label={t('Quantity')} hint={t('{{good}} are good now', { good: amount(job.count.good) })} autoFocus />
      {kind === 'report' ? null : reasons.length ? <ChoiceField name="reason" label={t('Reason')} options={reasons.map((key) => [key, key])} /> : <TextField name="reason" label={t('Reason')} />}
    </SheetForm>
  )
}

export function ConsumeForm({ one, shut }: Shut & { one: OrderDetail }) {
  const send = (form: FormData): Promise<unknown> => post(order(one.id, 'consume'), { lot: written(form, 'lot'), quantity: written(form, 'quantity'), into: written(form, 'into') })
  return (
    <SheetForm title={t('Take material for {{order}}', { order: one.id })} verb={t('Take')} onClose={shut} send={send}>
      <TextField name="lot" label={t('Lot')} hint={t('Scan the label, or type its number')} autoFocus />
      <TextField name="quantity" label={t('Quantity')} />
      {one.lot ? null : <TextField name="into" label={t('Serial number it goes into')} required={false} />}
    </SheetForm>
  )
}

export function SerialForm({ one, shut }: Shut & { one: OrderDetail }) {
  const send = (form: FormData): Promise<unknown> =>
    post('lots', {
      id: written(form, 'id'),
      order: one.id,
      parts: lines(form, 'parts').map((line) => ({ lot: line.split(/\s+/)[0], quantity: line.split(/\s+/)[1] ?? '1' })),
    })
  return (
    <SheetForm title={t('New piece of {{order}}', { order: one.id })} verb={t('Record')} onClose={shut} send={send}>
      <TextField name="id" label={t('Serial number')} autoFocus />
      <Area field="parts" label={t('What went into it')} hint={t('One lot or serial number a line, then how much; 1 unless told')} />
    </SheetForm>
  )
}

export function StepForm({ one, operation, step, shut }: Shut & { one: OrderDetail; operation: number; step: Step }) {
  const send = (form: FormData): Promise<unknown> => {
    const where = { operation, step: step.key }
    if (step.kind === 'reading') return post('readings', { ...where, point: step.point, value: written(form, 'value'), order: one.id, comment: written(form, 'comment') })
    if (step.kind === 'sign') return post(order(one.id, 'sign'), { ...where, password: written(form, 'password'), code: written(form, 'code'), pin: written(form, 'pin'), comment: written(form, 'comment') })
    return post(order(one.id, 'step'), { ...where, result: written(form, 'comment') })
  }
  const sign = step.kind === 'sign'
  return (
    <SheetForm title={step.title} verb={sign ? t('Sign') : t('Done')} onClose={shut} send={send}>
      {step.text ? <p className="order-text">{step.text}</p> : null}
      {sign ? (
        <>
          <p>
            {t('You sign:')} <b>{step.meaning}</b> · {one.id}, {t('lot {{lot}}', { lot: one.lot || '–' })}
          </p>
          <TextField name="password" label={t('Password')} type="password" autoComplete="current-password" required={false} autoFocus />
          <Pair>
            <TextField name="code" label={t('Code')} hint={t('Where a second factor is set')} inputMode="numeric" autoComplete="one-time-code" required={false} />
            <TextField name="pin" label={t('PIN')} hint={t('In place of the password, at a station')} type="password" inputMode="numeric" autoComplete="off" required={false} />
          </Pair>
        </>
      ) : null}
      {step.kind === 'reading' ? <TextField name="value" label={t('Value')} autoFocus /> : null}
      <TextField name="comment" label={t('Comment')} required={false} />
    </SheetForm>
  )
}

export function LabourForm({ one, job, shut }: Shut & { one: OrderDetail; job: OrderJob | undefined }) {
  const send = (form: FormData): Promise<unknown> => post(order(one.id, 'labour'), { do: written(form, 'do'), operation: job?.operation ?? 0, person: written(form, 'person') })
  return (
    <SheetForm title={t('Work on {{order}}', { order: one.id })} verb={t('Record')} onClose={shut} send={send}>
      <ChoiceField name="do" label={t('What')} options={[['begin', t('begins')], ['end', t('ends')]]} />
      <TextField name="person" label={t('Person')} hint={t('Empty: you')} required={false} />
    </SheetForm>
  )
}

function Area({ field, label, hint, value = '', rows = 4 }: { field: string; label: string; hint: string; value?: string; rows?: number }) {
  return (
    <label className="field">
      <span>{label}</span>
      <textarea name={field} rows={Math.max(rows, value.split('\n').length)} defaultValue={value} aria-describedby={`${field}-hint`} />
      <small id={`${field}-hint`} className="muted">
        {hint}
      </small>
    </label>
  )
}

type Part = Product['components'][number]
type Draft = { operations: Routing[]; components: Part[] }
const KINDS = [['read', m('read')], ['check', m('check')], ['reading', m('measure')], ['sign', m('sign')]] as const
const nextNumber = (operations: readonly Routing[]): number => Math.max(0, ...operations.map((one) => one.number)) + 10

/** A product as people write it: operations with their places and steps, and what goes in. */
export function ProductForm({ one, shut }: Shut & { one?: Product }) {
  const assets = useAssets()
  const products = useProducts()
  const [draft, change] = useState<Draft>({ operations: one?.operations ?? [], components: one?.components ?? [] })
  const places = (assets.data ?? []).filter((asset) => asset.path && (asset.level === 'asset' || asset.level === 'line' || asset.level === 'cell')).map((asset) => asset.path)
  const operation = (at: number, more: Partial<Routing>): void => change({ ...draft, operations: draft.operations.map((old, i) => (i === at ? { ...old, ...more } : old)) })
  const part = (at: number, more: Partial<Part>): void => change({ ...draft, components: draft.components.map((old, i) => (i === at ? { ...old, ...more } : old)) })
  const send = (form: FormData): Promise<unknown> => {
    const body = {
      name: written(form, 'name'),
      unit: written(form, 'unit'),
      tracking: written(form, 'tracking'),
      over_percent: written(form, 'over') || '0',
      under_percent: written(form, 'under') || '0',
      note: written(form, 'note'),
      cost: written(form, 'cost') || null,
      reason: written(form, 'reason'),
      ...draft,
    }
    return one ? put(`products/${encodeURIComponent(one.id)}`, { ...body, base: one.version }) : post('products', { ...body, id: written(form, 'id') })
  }
  return (
    <SheetForm title={one ? t('Change {{name}}', { name: one.id }) : t('New product')} verb={t('Save')} onClose={shut} send={send}>
      {one ? null : <TextField name="id" label={t('Number')} autoFocus />}
      <TextField name="name" label={t('Name')} defaultValue={one?.name ?? ''} />
      <Pair>
        <TextField name="unit" label={t('Unit')} defaultValue={one?.unit ?? 'pcs'} />
        <ChoiceField name="tracking" label={t('Tracked by')} options={[['lot', t('lot')], ['serial', t('serial number')], ['none', t('not at all')]]} defaultValue={one?.tracking ?? 'lot'} />
      </Pair>
      <TextField name="cost" label={t('Cost of a unit')} hint={t('In the plant’s currency; empty: not known')} inputMode="decimal" defaultValue={one?.cost ?? ''} required={false} />
      <fieldset className="order-set">
        <legend>{t('Operations')}</legend>
        {draft.operations.map((op, at) => (
          <div key={op.number} className="order-card">
            <div className="order-card-head">
              <b>{op.number}</b>
              <Button kind="quiet" icon="close" label={t('Remove operation {{n}}', { n: op.number })} onPress={() => change({ ...draft, operations: draft.operations.filter((_, i) => i !== at) })} />
            </div>
            <Field label={t('Name')} value={op.name} set={(name) => operation(at, { name })} />
            <label className="field">
              <span>{t('Machines and lines')}</span>
              <select multiple size={4} value={op.assets} onChange={(event) => operation(at, { assets: [...event.target.selectedOptions].map((option) => option.value) })}>
                {places.map((path) => (
                  <option key={path} value={path}>
                    {path}
                  </option>
                ))}
              </select>
            </label>
            <Pair>
              <Field label={t('Pieces a minute at best')} type="number" value={String(op.ideal_count ?? 0)} set={(text) => operation(at, { ideal_count: Number(text), ideal_s: 60 })} />
              <Field label={t('Change-over target, minutes')} type="number" value={String(Math.round((op.setup_s ?? 0) / 60))} set={(text) => operation(at, { setup_s: Number(text) * 60 })} />
            </Pair>
            <Field label={t('Labour, cost an hour')} value={String(op.labour_per_h ?? '')} set={(text) => operation(at, { labour_per_h: text.trim() || null })} />
            <Field label={t('Skills, with commas')} value={(op.skills ?? []).join(', ')} set={(text) => operation(at, { skills: text.split(',').map((skill) => skill.trim()).filter(Boolean) })} />
            <Steps steps={op.steps ?? []} set={(steps) => operation(at, { steps })} />
          </div>
        ))}
        <Button icon="plus" onPress={() => change({ ...draft, operations: [...draft.operations, { number: nextNumber(draft.operations), name: '', assets: [], counted: true, ideal_count: 0, ideal_s: 60, setup_s: 0, setup_from: {}, skills: [], steps: [], labour_per_h: null }] })}>
          {t('Operation')}
        </Button>
      </fieldset>
      <fieldset className="order-set">
        <legend>{t('Material for one piece')}</legend>
        {draft.components.map((line, at) => (
          <div key={at} className="order-line">
            <select aria-label={t('Material')} value={line.material} onChange={(event) => part(at, { material: event.target.value })}>
              {(products.data ?? []).map((p) => (
                <option key={p.id} value={p.id}>
                  {p.id}
                </option>
              ))}
            </select>
            <input aria-label={t('Quantity')} value={line.each} onChange={(event) => part(at, { each: event.target.value })} />
            <select aria-label={t('Operation')} value={line.operation} onChange={(event) => part(at, { operation: Number(event.target.value) })}>
              {draft.operations.map((op) => (
                <option key={op.number} value={op.number}>
                  {op.number}
                </option>
              ))}
            </select>
            <select aria-label={t('Taken')} value={line.automatic ? 'count' : 'scan'} onChange={(event) => part(at, { automatic: event.target.value === 'count' })}>
              <option value="count">{t('by count')}</option>
              <option value="scan">{t('by scan')}</option>
            </select>
            <Button kind="quiet" icon="close" label={t('Remove {{name}}', { name: line.material })} onPress={() => change({ ...draft, components: draft.components.filter((_, i) => i !== at) })} />
          </div>
        ))}
        <Button
          icon="plus"
          isDisabled={!draft.operations.length || !products.data?.length}
          onPress={() => change({ ...draft, components: [...draft.components, { material: products.data?.[0]?.id ?? '', each: '1', operation: draft.operations[0]?.number ?? 10, automatic: true }] })}
        >
          {t('Material')}
        </Button>
      </fieldset>
      <Pair>
        <TextField name="over" label={t('More allowed, %')} defaultValue={one?.over_percent ?? '0'} required={false} />
        <TextField name="under" label={t('Less allowed, %')} defaultValue={one?.under_percent ?? '0'} required={false} />
      </Pair>
      <TextField name="note" label={t('Note')} defaultValue={one?.note ?? ''} required={false} />
      {one ? <TextField name="reason" label={t('Reason')} required={false} /> : null}
    </SheetForm>
  )
}

function Field({ label, value, set, type = 'text' }: { label: string; value: string; set: (text: string) => void; type?: string }) {
  return (
    <label className="field">
      <span>{label}</span>
      <input type={type} value={value} min={type === 'number' ? 0 : undefined} onChange={(event) => set(event.target.value)} />
    </label>
  )
}

function Steps({ steps, set }: { steps: readonly Step[]; set: (steps: Step[]) => void }) {
  const points = (at: number, more: Partial<Step>): void => set(steps.map((old, i) => (i === at ? { ...old, ...more } : old)))
  return (
    <div className="order-steps-edit">
      <span className="muted small">{t('Work instructions')}</span>
      {steps.map((step, at) => (
        <div key={step.key} className="order-line steps">
          <select aria-label={t('Kind')} value={step.kind} onChange={(event) => points(at, { kind: event.target.value as NonNullable<Step['kind']> })}>
            {KINDS.map(([key, word]) => (
              <option key={key} value={key}>
                {t(word)}
              </option>
            ))}
          </select>
          <input aria-label={t('What to do')} placeholder={t('What to do')} value={step.title} onChange={(event) => points(at, { title: event.target.value })} />
          {step.kind === 'sign' ? <input aria-label={t('Meaning of the signature')} placeholder={t('Meaning of the signature')} value={step.meaning} onChange={(event) => points(at, { meaning: event.target.value })} /> : null}
          {step.kind === 'reading' ? <input aria-label={t('Reading')} placeholder={t('Reading')} value={step.point} onChange={(event) => points(at, { point: event.target.value })} /> : null}
          <Button kind="quiet" icon="close" label={t('Remove {{name}}', { name: step.title })} onPress={() => set(steps.filter((_, i) => i !== at))} />
          <input className="order-step-text" aria-label={t('In full')} placeholder={t('In full')} value={step.text} onChange={(event) => points(at, { text: event.target.value })} />
        </div>
      ))}
      <Button kind="quiet" icon="plus" onPress={() => set([...steps, { key: `s${Math.max(0, ...steps.map((step) => Number(step.key.slice(1)) || 0)) + 1}`, title: '', text: '', kind: 'check', required: true, meaning: '', point: '' }])}>
        {t('Step')}
      </Button>
    </div>
  )
}

export function LotForm({ shut }: Shut) {
  const products = useProducts()
  const send = (form: FormData): Promise<unknown> =>
    post('lots', {
      id: written(form, 'id'),
      product: written(form, 'product'),
      quantity: written(form, 'quantity'),
      supplier: written(form, 'supplier'),
      place: written(form, 'place'),
      expires: iso(written(form, 'expires')) ?? null,
    })
  return (
    <SheetForm title={t('Receive a lot')} verb={t('Receive')} onClose={shut} send={send}>
      <TextField name="id" label={t('Lot')} hint={t('Scan the label, or type its number')} autoFocus />
      <ChoiceField name="product" label={t('Product')} options={(products.data ?? []).map((one) => [one.id, `${one.id} · ${one.name}`])} />
      <TextField name="quantity" label={t('Quantity')} />
      <TextField name="supplier" label={t('Supplier, and its own number')} required={false} />
      <TextField name="place" label={t('Place')} required={false} />
      <TextField name="expires" label={t('Expires')} type="datetime-local" required={false} />
    </SheetForm>
  )
}

export function CountForm({ one, shut }: Shut & { one: LotDetail }) {
  const send = (form: FormData): Promise<unknown> => post(`lots/${encodeURIComponent(one.id)}/count`, { counted: written(form, 'counted'), base: one.on_hand, reason: written(form, 'reason') })
  return (
    <SheetForm title={t('Count lot {{lot}}', { lot: one.id })} verb={t('Save')} onClose={shut} send={send}>
      <TextField name="counted" label={t('What is there')} hint={t('The record has {{quantity}}', { quantity: amount(one.on_hand) })} autoFocus />
      <TextField name="reason" label={t('Reason')} />
    </SheetForm>
  )
}

export function PointForm({ one, shut }: Shut & { one?: Point | undefined }) {
  const assets = useAssets()
  const send = (form: FormData): Promise<unknown> =>
    put(`readings/points/${encodeURIComponent(one?.id ?? written(form, 'id'))}`, {
      name: written(form, 'name'),
      asset: written(form, 'asset'),
      unit: written(form, 'unit'),
      decimals: Number(written(form, 'decimals')),
      ...Object.fromEntries(['lowest', 'low', 'high', 'highest'].map((key) => [key, optional(form, key) ?? null])),
    })
  return (
    <SheetForm title={one ? t('Change {{name}}', { name: one.id }) : t('New reading')} verb={t('Save')} onClose={shut} send={send}>
      {one ? null : <TextField name="id" label={t('Number')} autoFocus />}
      <TextField name="name" label={t('Name')} defaultValue={one?.name ?? ''} />
      <ChoiceField name="asset" label={t('Asset')} options={(assets.data ?? []).map((asset) => [asset.path, asset.path || t('the whole site')])} defaultValue={one?.asset ?? ''} />
      <Pair>
        <TextField name="unit" label={t('Unit')} defaultValue={one?.unit ?? ''} required={false} />
        <TextField name="decimals" label={t('Decimals')} type="number" defaultValue={String(one?.decimals ?? 1)} />
      </Pair>
      <Pair>
        <TextField name="lowest" label={t('Refused below')} defaultValue={one?.lowest ?? ''} required={false} />
        <TextField name="highest" label={t('Refused above')} defaultValue={one?.highest ?? ''} required={false} />
      </Pair>
      <Pair>
        <TextField name="low" label={t('Comment asked for below')} defaultValue={one?.low ?? ''} required={false} />
        <TextField name="high" label={t('Comment asked for above')} defaultValue={one?.high ?? ''} required={false} />
      </Pair>
    </SheetForm>
  )
}

export function ReadingForm({ one, replaces, shut }: Shut & { one: Point; replaces?: Reading }) {
  const send = (form: FormData): Promise<unknown> =>
    post('readings', { point: one.id, value: written(form, 'value'), comment: written(form, 'comment'), ...(replaces ? { replaces: replaces.id, at: replaces.at, order: replaces.order } : {}) })
  const range = [one.low ? `≥ ${one.low}` : '', one.high ? `≤ ${one.high}` : ''].filter(Boolean).join(', ')
  return (
    <SheetForm title={one.name} verb={t('Record')} onClose={shut} send={send}>
      <TextField name="value" label={one.unit ? t('Value in {{unit}}', { unit: one.unit }) : t('Value')} hint={range} defaultValue={replaces?.value ?? ''} autoFocus />
      <TextField name="comment" label={t('Comment')} required={replaces !== undefined} />
    </SheetForm>
  )
}

export function SkillForm({ one, shut }: Shut & { one?: Person }) {
  const send = (form: FormData): Promise<unknown> =>
    put('people/skills', {
      person: one?.person ?? written(form, 'person'),
      skills: lines(form, 'skills').map((line) => {
        const [skill = '', until] = line.split(/\s+(?=\d{4}-)/)
        return { skill, until: until ?? null }
      }),
    })
  const value = (one?.skills ?? []).map((skill) => (skill.until ? `${skill.skill} ${skill.until.slice(0, 10)}` : skill.skill)).join('\n')
  return (
    <SheetForm title={one ? t('Skills of {{name}}', { name: one.person }) : t('Skills')} verb={t('Save')} onClose={shut} send={send}>
      {one ? null : <TextField name="person" label={t('Person')} autoFocus />}
      <Area field="skills" label={t('Skills')} hint={t('One a line; with a day such as 2027-06-30 it runs out then')} value={value} />
    </SheetForm>
  )
}
