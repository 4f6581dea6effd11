import { Link, useNavigate, useParams, useSearch } from '@tanstack/react-router'
import { lazy, Suspense, useCallback, useEffect, useRef, useState } from 'react'
import { useAssets, useSession, useTags } from '../api/queries'
import type { Asset, Tag } from '../api/types'
import { ChoiceField, Confirm, SheetForm, TextField, When, written } from '../components/records'
import { Icon } from '../components/icons'
import { Button, Empty, Loading, PageHead, Panel, Select, TableHead, Trouble } from '../components/ui'
import { t } from '../i18n'
import { LiveValue } from '../live/react'
import { human, isConnection, tagOfMachine } from '../model/tree'
import { createScreen, retireScreen, useScreen, useScreens, useScreensChanged, useScreenTags, type ScreenAnswer, type ScreenSummary } from '../screens/api'
import { EMPTY, type Doc } from '../screens/model'
import { ReviewBar, Versions } from '../screens/review'
import { ScreenView, type OpenAsset } from '../screens/runtime'
import type { ScreenSearch } from '../router'
import '../styles/records.css'
import '../styles/screens.css'

const FaceplateSide = lazy(() => import('../components/faceplate/side').then((m) => ({ default: m.FaceplateSide })))

/** All process screens. */
export function ScreensPage() {
  const list = useScreens()
  const session = useSession()
  const [making, setMaking] = useState(false)
  const draws = session.data !== undefined && ['engineer', 'admin'].includes(session.data.user.role)
  if (list.error) return <Trouble error={list.error} retry={() => void list.refetch()} />
  if (!list.data) return <Loading what={t('Screens')} />
  const waiting = list.data.filter((one) => one.state === 'review').length
  return (
    <div className="page screens-page">
      <PageHead title={t('Screens')} sub={waiting ? t('{{count}} wait for review', { count: waiting }) : t('{{count}} screens', { count: list.data.length })}>
        {draws ? (
          <Button kind="primary" icon="plus" onPress={() => setMaking(true)}>
            {t('New screen')}
          </Button>
        ) : null}
      </PageHead>
      <Panel title={t('Process screens')} flush>
        {list.data.length ? (
          <div className="records-scroll" tabIndex={0} role="region" aria-label={t('Process screens')}>
            <table className="records">
              <TableHead columns={[{ name: t('Title') }, { name: t('Shows') }, { name: t('State') }, { name: t('Live') }, { name: t('Drawn by') }, { name: '' }]} />
              <tbody>
                {list.data.map((one) => (
                  <ScreenLine key={one.id} one={one} />
                ))}
              </tbody>
            </table>
          </div>
        ) : (
          <Empty title={t('No screens yet')}>{t('A process screen shows machines, pipes and values as they stand in the plant. Draw one, or let Isthmus begin one for a line.')}</Empty>
        )}
      </Panel>
      {making ? <NewScreen known={list.data} onClose={() => setMaking(false)} /> : null}
    </div>
  )
}

function ScreenLine({ one }: { one: ScreenSummary }) {
  const words = { draft: t('Draft'), review: t('In review'), published: t('Published') }
  return (
    <tr>
      <th scope="row">
        <Link to="/screens/$id" params={{ id: one.id }}>
          {one.title}
        </Link>
      </th>
      <td data-head={t('Shows')}>{one.asset || (one.type ? t('any {{type}}', { type: one.type }) : '–')}</td>
      <td data-head={t('State')}>{words[one.state]}</td>
      <td data-head={t('Live')}>{one.live === null ? t('never published') : <>{t('version {{version}}', { version: one.live })}, <When iso={one.live_at} /></>}</td>
      <td data-head={t('Drawn by')}>{one.draft_by}</td>
      <td>
        {one.may.includes('save') ? (
          <Link to="/screens/$id/edit" params={{ id: one.id }}>
            {t('Draw')}<span className="sr"> {one.title}</span>
          </Link>
        ) : null}
      </td>
    </tr>
  )
}

const idOf = (title: string): string =>
  title
    .normalize('NFD')
    .replace(/[\u0300-\u036f]/g, '')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 50) || 'screen'

function NewScreen({ known, onClose }: { known: readonly ScreenSummary[]; onClose: () => void }) {
  const navigate = useNavigate()
  const changed = useScreensChanged()
  const assets = useAssets()
  const groups = (assets.data ?? []).filter((one) => one.path !== '' && !isConnection(one.path))
  const send = async (form: FormData): Promise<void> => {
    const title = written(form, 'title')
    const from = written(form, 'from')
    let id = idOf(title)
    for (let n = 2; known.some((one) => one.id === id); n += 1) id = `${idOf(title)}-${n}`
    await createScreen(id, from ? { asset: from } : { document: { ...EMPTY, title } })
    changed()
    void navigate({ to: '/screens/$id/edit', params: { id } })
  }
  return (
    <SheetForm title={t('New screen')} verb={t('Draw it')} onClose={onClose} send={send}>
      <TextField name="title" label={t('Title')} maxLength={120} autoFocus />
      <ChoiceField name="from" label={t('Begin with')} options={[['', t('an empty sheet')], ...groups.slice(0, 500).map((one) => [one.path, t('the machines of {{path}}', { path: one.path })] as const)]} />
    </SheetForm>
  )
}

/** One screen with live values; for who may, with its review. */
export function ScreenPage() {
  const { id } = useParams({ from: '/screens/$id' })
  const search = useSearch({ from: '/screens/$id' })
  const screen = useScreen(id, search.draft ? 0 : undefined)
  if (screen.error && !screen.data) return <Trouble error={screen.error} retry={() => void screen.refetch()} />
  if (!screen.data) return <Loading what={t('the screen')} />
  return <OneScreen key={`${id} ${search.draft ?? ''}`} screen={screen.data} search={search} again={() => void screen.refetch()} />
}

function OneScreen({ screen, search, again }: { screen: ScreenAnswer; search: ScreenSearch; again: () => void }) {
  const [asked, draft] = [search.asset ?? '', search.draft !== undefined]
  const navigate = useNavigate()
  const assets = useAssets()
  const changed = useScreensChanged()
  const [table, setTable] = useState(() => window.matchMedia('(max-width: 639px)').matches)
  const [retiring, setRetiring] = useState(false)
  const doc = screen.document
  const instances = (assets.data ?? []).filter((one) => doc.type && one.type === doc.type)
  const asset = asked || doc.asset || (instances[0]?.path ?? '')
  const opened = (assets.data ?? []).find((one) => one.path === search.open && search.open !== '')
  const from = useRef<SVGElement>(null)
  const show = (next: Pick<ScreenSearch, 'open' | 'write'>): void => {
    const { open: _open, write: _write, ...kept } = search
    void navigate({ to: '/screens/$id', params: { id: screen.id }, search: { ...kept, ...next } })
  }
  const latest = useRef({ show, assets: assets.data })
  latest.current = { show, assets: assets.data }
  // The same function as long as the page is there: the drawing is not drawn anew because somebody opens something.
  const openAsset = useCallback<OpenAsset>(
    (path, node) => {
      const known = latest.current.assets?.find((one) => one.path === path)
      if (!known || known.level === 'connection' || latest.current.assets?.some((one) => one.parent === path)) {
        void navigate({ to: '/asset/$', params: { _splat: path } })
        return
      }
      from.current = node
      latest.current.show({ open: path })
    },
    [navigate],
  )
  const name = asked ? `${doc.title}, ${human(asset.split('/').at(-1) ?? '')}` : doc.title
  return (
    <div className="page screen-page">
      <PageHead title={name} sub={<ScreenSub screen={screen} draft={draft} />}>
        {doc.type ? <Instance instances={instances} asset={asset} onChange={(path) => void navigate({ to: '/screens/$id', params: { id: screen.id }, search: { asset: path } })} /> : null}
        <Button icon="table" onPress={() => setTable((on) => !on)} className={table ? 'on' : ''}>
          {t('Values')}
        </Button>
        {screen.state !== 'published' && screen.may.length && !draft && screen.live !== null ? (
          <Link to="/screens/$id" params={{ id: screen.id }} search={{ draft: '1' }} className="button">
            {screen.state === 'review' ? t('Look at the review') : t('See the draft')}
          </Link>
        ) : null}
        {screen.may.includes('save') ? (
          <Link to="/screens/$id/edit" params={{ id: screen.id }} className="button primary">
            {t('Draw')}
          </Link>
        ) : null}
      </PageHead>
      {draft || screen.live === null ? <ReviewBar screen={screen} onMoved={() => { again(); void navigate({ to: '/screens/$id', params: { id: screen.id } }) }} /> : null}
      {doc.elements.length ? (
        <div className="line-layout screen-layout" data-open={opened ? '1' : undefined}>
          <Sheet doc={doc} asset={asset} onOpenAsset={openAsset} />
          {opened ? (
            <Suspense fallback={<Loading what={human(opened.name)} />}>
              <Beside key={opened.path} asset={opened} writing={search.write} onWrite={(write) => show({ open: opened.path, ...(write ? { write } : {}) })} onClose={() => { show({}); from.current?.focus() }} />
            </Suspense>
          ) : null}
        </div>
      ) : <Empty title={t('Nothing is drawn yet')}>{screen.may.includes('save') ? t('Press Draw to put symbols and values on it.') : ''}</Empty>}
      {table ? <ValueTable doc={doc} asset={asset} /> : null}
      {screen.may.length ? (
        <details className="panel screen-history">
          <summary className="panel-head">{t('Versions')}</summary>
          <div className="pad">
            <Versions screen={screen} />
            {screen.may.includes('retire') ? <Button onPress={() => setRetiring(true)}>{t('Take out of use')}</Button> : null}
          </div>
        </details>
      ) : null}
      {retiring ? (
        <Confirm title={t('Take {{title}} out of use', { title: doc.title })} verb={t('Take out of use')} onClose={() => setRetiring(false)} act={async () => { await retireScreen(screen.id, screen.rev); changed(); void navigate({ to: '/screens' }) }}>
          {t('Nobody sees it any more. What was published stays in the records.')}
        </Confirm>
      ) : null}
    </div>
  )
}

function ScreenSub({ screen, draft }: { screen: ScreenAnswer; draft: boolean }) {
  if (draft || screen.live === null) return <span>{t('Draft')}, {screen.draft_by}, <When iso={screen.draft_at} /></span>
  return <span>{t('version {{version}}', { version: screen.version })}, <When iso={screen.live_at} />{screen.description ? ` · ${screen.description}` : ''}</span>
}

function Instance({ instances, asset, onChange }: { instances: readonly Asset[]; asset: string; onChange: (path: string) => void }) {
  if (instances.length < 2) return null
  return <Select label={t('Asset')} value={asset} options={instances.map((one) => [one.path, one.path] as const)} onChange={onChange} />
}

/** What somebody chose on the drawing, with the tags of it. */
function Beside({ asset, ...more }: { asset: Asset; writing: string | undefined; onWrite: (path: string | undefined) => void; onClose: () => void }) {
  const tags = useTags(asset.path)
  if (tags.error) return <Trouble error={tags.error} retry={() => void tags.refetch()} />
  return tags.data ? <FaceplateSide asset={asset} tags={tags.data} focus {...more} /> : <Loading what={human(asset.name)} />
}

/** The drawing at the width there is; on a phone at a size that can be read, to be pushed about. */
function Sheet({ doc, asset, onOpenAsset }: { doc: Doc; asset: string; onOpenAsset: OpenAsset }) {
  const host = useRef<HTMLDivElement>(null)
  const [zoom, setZoom] = useState<number>()
  const small = useSmall()
  const fit = (): number => Math.min(2, (host.current?.clientWidth ?? doc.width) / doc.width)
  const least = small ? 1 : undefined
  const wide = zoom ?? least
  return (
    <div className="screen-panel panel">
      <div ref={host} className="screen-host" data-zoomed={wide ? '1' : undefined} {...(wide ? { tabIndex: 0, role: 'region', 'aria-label': t('Drawing') } : {})}>
        <ScreenView doc={doc} asset={asset} zoom={wide} onOpenAsset={onOpenAsset} />
      </div>
      <div className="screen-zoom" role="group" aria-label={t('Size')}>
        <Button kind="quiet" icon="minus" label={t('Smaller')} onPress={() => setZoom((z) => Math.max(0.2, (z ?? least ?? fit()) / 1.25))} />
        <button type="button" className="button quiet" onClick={() => setZoom(small ? fit() : undefined)}>
          {t('Fit')}
        </button>
        <Button kind="quiet" icon="plus" label={t('Larger')} onPress={() => setZoom((z) => Math.min(4, (z ?? least ?? fit()) * 1.25))} />
      </div>
    </div>
  )
}

function useSmall(): boolean {
  const [small, setSmall] = useState(() => window.matchMedia('(max-width: 639px)').matches)
  useEffect(() => {
    const query = window.matchMedia('(max-width: 639px)')
    const heard = (): void => setSmall(query.matches)
    query.addEventListener('change', heard)
    return () => query.removeEventListener('change', heard)
  }, [])
  return small
}

/** Every value of the drawing as text: for screen readers, phones and who wants it so. */
function ValueTable({ doc, asset }: { doc: Doc; asset: string }) {
  const { tags } = useScreenTags(doc, asset)
  const list: Tag[] = [...tags.values()].sort((a, b) => a.order - b.order)
  return (
    <Panel title={t('Values of this screen')} flush>
      <ul className="screen-values">
        {list.map((tag) => (
          <li key={tag.path}>
            <Link to="/asset/$" params={{ _splat: tag.asset }}>
              {tagOfMachine(tag)}
            </Link>
            <LiveValue tag={tag} />
          </li>
        ))}
      </ul>
      {list.length ? null : <p className="pad muted"><Icon name="tags" /> {t('No values are bound.')}</p>}
    </Panel>
  )
}
