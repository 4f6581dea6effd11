import { isUp } from './connection'
import type { Asset, Connection, Tag } from '../api/types'
import { t } from '../i18n'
import { store } from '../live/client'
import { formatValue } from './format'
import { qualityOfName } from './quality'
import { sideOf } from './scale'
import { timeOrDay } from './time'
import { human, machinesOf, shapeOf, stateTagOf, type TreeNode } from './tree'

export interface Look {
  bad: boolean
  running: boolean
  state: string
  text: string
  rank: number
}

export type Readings = ReadonlyMap<string, { value: unknown; status: string; time: string | null }>

/** What one should know about a unit: lost data first, then values out of their limits, then machines that stand. */
export function judge(node: TreeNode, byAsset: ReadonlyMap<string, Tag[]>, readings: Readings, connections: readonly Connection[]): Look {
  const machines = machinesOf(node)
  const down = new Map(connections.filter((c) => !isUp(c)).map((c) => [c.name, c]))
  let running = 0
  let stopped = 0
  let badTags = 0
  let lost: { asset: Asset; connection: Connection } | undefined
  let out: { tag: Tag; value: number } | undefined
  let standing: { asset: Asset; word: string } | undefined
  for (const asset of machines) {
    const own = byAsset.get(asset.path) ?? []
    const state = stateTagOf(asset, own)
    const said = state ? readings.get(state.path) : undefined
    const word = state && said && qualityOfName(said.status) !== 'bad' ? formatValue(state, said.value as number | string) : undefined
    const works = word === undefined || shapeOf(word) === 'running'
    for (const tag of own) {
      const reading = readings.get(tag.path)
      if (reading && qualityOfName(reading.status) === 'bad') {
        badTags += 1
        const connection = down.get(tag.connection)
        if (connection) lost ??= { asset, connection }
      }
      // A machine that stands has low speeds by right.
      if (!out && works && reading && typeof reading.value === 'number' && qualityOfName(reading.status) === 'good' && tag.kind === 'value' && sideOf(tag, reading.value) !== 'in') out = { tag, value: reading.value }
    }
    if (word !== undefined) {
      if (works) running += 1
      else {
        stopped += 1
        standing ??= { asset, word }
      }
    }
  }
  const state = running > 0 ? (stopped > 0 && standing ? `${t('Running')}, ${human(standing.asset.name)}: ${standing.word}` : t('Running')) : stopped > 0 ? t('Stopped') : badTags > 0 ? t('No data') : ''
  const base = { state, running: running > 0 }
  if (lost) {
    const since = lost.connection.since ? timeOrDay(Date.parse(lost.connection.since), store.now()) : ''
    return {
      bad: true,
      rank: 0,
      ...base,
      text: since ? t('{{name}}: data bad since {{time}}', { name: human(lost.asset.name), time: since }) : t('{{name}}: data bad', { name: human(lost.asset.name) }),
    }
  }
  if (badTags) return { bad: true, rank: 1, ...base, text: t('{{count}} values bad', { count: badTags }) }
  if (out) {
    const side = sideOf(out.tag, out.value)
    return {
      bad: true,
      rank: 2,
      ...base,
      text: side === 'above' ? t('{{name}} high', { name: human(out.tag.name) }) : t('{{name}} low', { name: human(out.tag.name) }),
    }
  }
  return { bad: false, rank: 3, ...base, text: '' }
}

/** The counter of good parts of each line: its own, else that of its first machine which has one, in flow order. */
export function goodCounters(assets: readonly Asset[], tags: readonly Tag[]): Tag[] {
  const known = new Map(tags.map((tag) => [tag.path, tag]))
  const good = new Map(tags.filter((tag) => tag.kind === 'counter' && tag.name === 'good').map((tag) => [tag.asset, tag]))
  const last = new Map<string, Tag>()
  for (const asset of [...assets].sort((a, b) => a.order - b.order)) {
    const named = asset.production?.good
    // `good` is the name the production section gives this counter, where the server does not tell the section.
    const tag = named ? known.get(named) : good.get(asset.path)
    // A line counts in one unit; cases and pallets behind the filler are not bottles.
    const line = asset.level === 'line' ? asset.path : asset.parent
    if (tag && tag.kind === 'counter' && !last.has(line)) last.set(line, tag)
  }
  return [...last.values()]
}
