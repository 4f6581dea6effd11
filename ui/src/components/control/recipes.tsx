import { useQueryClient } from '@tanstack/react-query'
import { Link, useNavigate } from '@tanstack/react-router'
import { useMemo, useState, type FormEvent } from 'react'
import { approveRecipe, downloadRecipe, isAbsent, saveRecipe, usePoints, useRecipes, useDownloads, useVersions, type Download, type Recipe, type RecipeItem, type RecipeVersion } from '../../api/control'
import { useAssets, useSession } from '../../api/queries'
import type { Tag } from '../../api/types'
import { t } from '../../i18n'
import { compareItems, decimalSign, entryOf, parseNumber } from '../../model/control'
import { human } from '../../model/tree'
import { Confirm, Refusal, Sheet, SheetForm, TextField, useAct, When, written } from '../records'
import { Button, Empty, Loading, Panel, Select } from '../ui'
import { Missing, useKnownTags } from './now'
import { Report, say } from './report'
import type { ControlSearch } from '../../router'

/** Named sets of values with versions; only an approved one is downloaded. */
export function Recipes({ search }: { search: ControlSearch }) {
  const found = useRecipes()
  const [adding, setAdding] = useState(false)
  const chosen = found.data?.find((one) => one.name === search.recipe) ?? found.data?.[0]
  return (
    <div className="recipe-layout">
      <Panel
        title={t('Recipes')}
        aside={
          <Button icon="plus" onPress={() => setAdding(true)}>
            {t('New')}
          </Button>
        }
      >
        {found.data === undefined ? <Missing error={found.error} what={t('Recipes')} /> : found.data.length === 0 ? <p className="pad muted">{t('No recipe yet.')}</p> : null}
        <ul className="recipe-list">
          {(found.data ?? []).map((one) => (
            <li key={one.name}>
              <Link to="/control" search={{ tab: 'recipes', recipe: one.name }} aria-current={one === chosen ? 'true' : undefined}>
                <b>{one.name}</b>
                <small className="muted">{[placeOf(one), one.approved ? t('version {{n}} approved', { n: one.approved.number }) : t('nothing approved')].join(', ')}</small>
              </Link>
            </li>
          ))}
        </ul>
      </Panel>
      {chosen ? (
        <One key={chosen.name} recipe={chosen} search={search} />
      ) : found.data ? (
        <Panel>
          <Empty title={t('No recipe yet')}>{t('A recipe is a named set of values that are written together, with versions and approval.')}</Empty>
        </Panel>
      ) : null}
      {adding ? <Editor onClose={() => setAdding(false)} /> : null}
    </div>
  )
}

const placeOf = (recipe: Recipe): string => (recipe.type ? t('type {{type}}', { type: recipe.type }) : recipe.asset || t('whole plant'))

/** Tags that items of a recipe stand for: of its asset, or of the first asset of its type. */
function useItemTags(recipe: Pick<Recipe, 'type' | 'asset'>): (tag: string) => Tag | undefined {
  const known = useKnownTags()
  const assets = useAssets()
  const base = recipe.asset || (recipe.type ? (assets.data?.find((asset) => asset.type === recipe.type)?.path ?? '') : '')
  return (tag) => known.get(base ? `${base}/${tag}` : tag)
}

function One({ recipe, search }: { recipe: Recipe; search: ControlSearch }) {
  const versions = useVersions(recipe.name)
  const session = useSession()
  const navigate = useNavigate()
  const client = useQueryClient()
  const tagOf = useItemTags(recipe)
  const [sheet, setSheet] = useState<'approve' | 'download' | 'edit'>()
  const [report, setReport] = useState<Download>()
  if (versions.data === undefined) return <Panel>{isAbsent(versions.error) ? <Missing error={versions.error} what={recipe.name} /> : <Loading what={recipe.name} />}</Panel>
  const all = versions.data
  const shown = all.find((one) => String(one.number) === search.version) ?? all[0]
  if (!shown) return <Panel><p className="pad muted">{t('It has no version.')}</p></Panel>
  const against = search.against ? all.find((one) => String(one.number) === search.against) : undefined
  const options = (some: readonly RecipeVersion[]): [string, string][] => some.map((one) => [String(one.number), `${one.number}, ${t(one.state)}`])
  const go = (next: Partial<ControlSearch>): void => {
    const wanted: ControlSearch = { tab: 'recipes', recipe: recipe.name, ...(search.version ? { version: search.version } : {}), ...(search.against ? { against: search.against } : {}), ...next }
    if (!wanted.against) delete wanted.against
    void navigate({ to: '/control', search: wanted })
  }
  const mine = shown.author === session.data?.user.name
  const rows = against ? compareItems(against.items, shown.items) : shown.items.map((item) => ({ tag: item.tag, old: null, next: item.value, differs: false }))
  return (
    <div className="recipe-main">
      <Panel
        title={recipe.name}
        aside={
          <span className="row-buttons">
            <Button onPress={() => setSheet('edit')}>{t('New version …')}</Button>
            {shown.state === 'draft' ? (
              <Button isDisabled={mine} onPress={() => setSheet('approve')}>
                {t('Approve …')}
              </Button>
            ) : null}
            <Button kind="primary" icon="download" isDisabled={!recipe.approved} onPress={() => setSheet('download')}>
              {t('Download …')}
            </Button>
          </span>
        }
      >
        <div className="pad form">
          {recipe.description ? <p>{recipe.description}</p> : null}
          <div className="row-buttons">
            <Select label={t('Version')} value={String(shown.number)} options={options(all)} onChange={(version) => go({ version })} />
            <Select label={t('Compare with')} value={against ? String(against.number) : ''} options={[['', t('nothing')], ...options(all.filter((one) => one !== shown))]} onChange={(other) => go({ against: other })} />
          </div>
          <p className="muted small">
            {t('by {{who}}', { who: shown.author })} <When iso={shown.created} />
            {shown.reason ? `: ${shown.reason}` : ''}
            {shown.approved_by ? `. ${t('Approved by {{name}}.', { name: shown.approved_by })}` : ''}
            {shown.state === 'draft' && mine ? ` ${t('Somebody else must approve it.')}` : ''}
          </p>
        </div>
        <table className="recipe-values">
          <thead>
            <tr>
              <th scope="col">{t('Tag')}</th>
              {against ? <th scope="col" className="num">{t('Version {{n}}', { n: against.number })}</th> : null}
              <th scope="col" className="num">{t('Version {{n}}', { n: shown.number })}</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <tr key={row.tag} data-differs={row.differs ? '1' : undefined}>
                <td title={row.tag}>{row.tag.split('/').map(human).join(' / ')}</td>
                {against ? <td className="num">{say(tagOf(row.tag), row.old)}</td> : null}
                <td className="num">
                  {row.differs ? <span className="sr">{t('differs')} </span> : null}
                  {say(tagOf(row.tag), row.next)}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </Panel>
      {report ? <Report report={report} /> : null}
      <Earlier name={recipe.name} but={report?.id} />
      {sheet === 'approve' ? (
        <Confirm
          title={t('Approve version {{n}}', { n: shown.number })}
          verb={t('Approve')}
          onClose={() => setSheet(undefined)}
          act={async () => {
            await approveRecipe(recipe.name, shown.number)
            await client.invalidateQueries({ queryKey: ['recipes'] })
          }}
        >
          {t('From then on it can be downloaded. Your name is kept beside that of {{who}}.', { who: shown.author })}
        </Confirm>
      ) : null}
      {sheet === 'download' && recipe.approved ? <DownloadSheet recipe={recipe} version={recipe.approved} onClose={() => setSheet(undefined)} onReport={setReport} /> : null}
      {sheet === 'edit' ? <Editor recipe={recipe} from={shown} onClose={() => setSheet(undefined)} /> : null}
    </div>
  )
}

function DownloadSheet({ recipe, version, onClose, onReport }: { recipe: Recipe; version: RecipeVersion; onClose: () => void; onReport: (report: Download) => void }) {
  const client = useQueryClient()
  const assets = useAssets()
  const targets = recipe.type ? (assets.data ?? []).filter((asset) => asset.type === recipe.type).map((asset) => asset.path) : []
  return (
    <SheetForm
      title={t('Download {{name}}', { name: recipe.name })}
      verb={t('Write {{count}} values', { count: version.items.length })}
      onClose={onClose}
      send={async (form) => {
        onReport(await downloadRecipe(recipe.name, written(form, 'asset'), written(form, 'reason')))
        await Promise.all([client.invalidateQueries({ queryKey: ['control'] }), client.invalidateQueries({ queryKey: ['recipes', recipe.name, 'downloads'] })])
      }}
    >
      <p>{t('Version {{n}}. All values are checked before the first is written; it stops at the first that fails, and the report names each.', { n: version.number })}</p>
      {targets.length > 1 ? (
        <label className="field">
          <span>{t('To')}</span>
          <select name="asset" required defaultValue="">
            <option value="" disabled>
              {t('Choose an asset')}
            </option>
            {targets.map((path) => (
              <option key={path} value={path}>
                {path}
              </option>
            ))}
          </select>
        </label>
      ) : null}
      <TextField name="reason" label={t('Reason')} required={false} maxLength={1000} autoFocus />
    </SheetForm>
  )
}

/** What became of downloads before, value by value; the newest is first. */
function Earlier({ name, but }: { name: string; but: number | undefined }) {
  const found = useDownloads(name)
  const shown = (found.data ?? []).filter((one) => one.id !== but)
  if (shown.length === 0) return null
  return (
    <Panel title={t('Earlier downloads')}>
      {shown.map((one) => (
        <details key={one.id} className="earlier">
          <summary>
            <When iso={one.began} /> <b>{t('Version {{n}}', { n: one.version })}</b> {[one.asset, t('by {{who}}', { who: one.by }), t('{{done}} of {{all}} values written', { done: one.lines.filter((line) => line.state === 'done').length, all: one.lines.length })].filter(Boolean).join(', ')}
          </summary>
          <Report report={one} />
        </details>
      ))}
    </Panel>
  )
}

interface Pair {
  key: number
  tag: string
  text: string
}

let nextKey = 0
const pair = (tag = '', text = ''): Pair => ({ key: (nextKey += 1), tag, text })

/** A new recipe, or the next version of one; nothing of an older version changes. */
function Editor({ recipe, from, onClose }: { recipe?: Recipe; from?: RecipeVersion; onClose: () => void }) {
  const client = useQueryClient()
  const assets = useAssets()
  const navigate = useNavigate()
  const act = useAct()
  const [asset, setAsset] = useState(recipe?.asset ?? '')
  const [pairs, setPairs] = useState<Pair[]>(() => (from ? from.items.map((item) => pair(item.tag, typeof item.value === 'number' ? String(item.value).replace('.', decimalSign()) : item.value)) : [pair()]))
  const [problem, setProblem] = useState('')
  const tagOf = useItemTags(recipe ?? { type: '', asset })
  const place = recipe?.asset ?? asset
  const base = place || (recipe?.type ? (assets.data?.find((one) => one.type === recipe.type)?.path ?? '') : '')
  const points = usePoints(base, 60_000)
  const known = useMemo(() => (points.data ?? []).map((point) => (base && point.path.startsWith(`${base}/`) ? point.path.slice(base.length + 1) : point.path)), [points.data, base])
  const change = (key: number, next: Partial<Pair>): void => setPairs((all) => all.map((one) => (one.key === key ? { ...one, ...next } : one)))
  const submit = async (event: FormEvent<HTMLFormElement>): Promise<void> => {
    event.preventDefault()
    const form = new FormData(event.currentTarget)
    const items = itemsOf(pairs, tagOf)
    if (typeof items === 'string') {
      setProblem(items)
      return
    }
    setProblem('')
    const name = recipe?.name ?? written(form, 'name')
    const saved = await act.run(async () => {
      await saveRecipe({ name, type: recipe?.type ?? '', asset: place, description: recipe?.description ?? written(form, 'description'), items, reason: written(form, 'reason') })
      await client.invalidateQueries({ queryKey: ['recipes'] })
    })
    if (!saved) return
    onClose()
    void navigate({ to: '/control', search: { tab: 'recipes', recipe: name } })
  }
  return (
    <Sheet title={recipe ? t('New version of {{name}}', { name: recipe.name }) : t('New recipe')} onClose={onClose}>
      <form className="form" onSubmit={(event) => void submit(event)}>
        {recipe ? null : (
          <>
            <TextField name="name" label={t('Name')} maxLength={100} autoFocus />
            <TextField name="description" label={t('Description')} required={false} maxLength={400} />
            <label className="field">
              <span>{t('Asset')}</span>
              <select value={asset} onChange={(event) => setAsset(event.target.value)}>
                <option value="">{t('whole plant')}</option>
                {(assets.data ?? []).filter((one) => one.level !== 'connection' && one.path !== '').map((one) => (
                  <option key={one.path} value={one.path}>
                    {one.path}
                  </option>
                ))}
              </select>
            </label>
          </>
        )}
        <fieldset className="choices recipe-edit">
          <legend className="muted small">{t('Values, in the order in which they are written')}</legend>
          <datalist id="recipe-points">
            {known.map((path) => (
              <option key={path} value={path} />
            ))}
          </datalist>
          {pairs.map((one, i) => (
            <div key={one.key} className="pair">
              <label className="field">
                <span>{t('Tag {{n}}', { n: i + 1 })}</span>
                <input list="recipe-points" required value={one.tag} onChange={(event) => change(one.key, { tag: event.target.value })} />
              </label>
              <label className="field">
                <span>{t('Value')}</span>
                <input required value={one.text} onChange={(event) => change(one.key, { text: event.target.value })} />
              </label>
              <Button kind="quiet" icon="minus" label={t('Take {{n}} out', { n: i + 1 })} isDisabled={pairs.length === 1} onPress={() => setPairs((all) => all.filter((other) => other !== one))} />
            </div>
          ))}
          <Button icon="plus" onPress={() => setPairs((all) => [...all, pair()])}>
            {t('One more value')}
          </Button>
        </fieldset>
        <TextField name="reason" label={t('What changed, and why')} required={false} maxLength={1000} />
        {problem ? (
          <p className="form-problem" role="alert">
            {problem}
          </p>
        ) : null}
        <Refusal error={act.error} />
        <div className="form-row">
          <Button onPress={onClose}>{t('Cancel')}</Button>
          <Button kind="primary" type="submit" isPending={act.busy}>
            {t('Save')}
          </Button>
        </div>
      </form>
    </Sheet>
  )
}

/** What was typed, as values; or the first thing that is none. */
function itemsOf(pairs: readonly Pair[], tagOf: (tag: string) => Tag | undefined): RecipeItem[] | string {
  const items: RecipeItem[] = []
  for (const { tag, text } of pairs) {
    const known = tagOf(tag.trim())
    if (known && entryOf(known) === 'text') {
      items.push({ tag: tag.trim(), value: text })
      continue
    }
    const state = known?.states ? Object.entries(known.states).find(([key, word]) => key === text.trim() || word.toLowerCase() === text.trim().toLowerCase()) : undefined
    if (state) {
      items.push({ tag: tag.trim(), value: Number(state[0]) })
      continue
    }
    const parsed = parseNumber(text)
    if ('problem' in parsed) return `${tag}: ${parsed.problem}`
    items.push({ tag: tag.trim(), value: parsed.value })
  }
  return items
}
