import type { Asset, Tag } from '../api/types'

export interface TreeNode {
  asset: Asset
  children: TreeNode[]
}

/** The equipment tree in plant order. Levels that the file only implies by their path are made up. */
export function buildTree(assets: readonly Asset[]): TreeNode {
  const nodes = new Map<string, TreeNode>()
  const rootAsset = assets.find((a) => a.path === '') ?? made('', 'site')
  const root: TreeNode = { asset: rootAsset, children: [] }
  nodes.set('', root)
  const ensure = (path: string): TreeNode => {
    const known = nodes.get(path)
    if (known) return known
    const node: TreeNode = { asset: made(path, 'area'), children: [] }
    nodes.set(path, node)
    ensure(parentOf(path)).children.push(node)
    return node
  }
  for (const asset of [...assets].sort((a, b) => a.order - b.order)) {
    if (asset.path === '') continue
    const node: TreeNode = { asset, children: [] }
    const before = nodes.get(asset.path)
    if (before) {
      before.asset = asset
      continue
    }
    nodes.set(asset.path, node)
    ensure(parentOf(asset.path)).children.push(node)
  }
  return root
}

function made(path: string, level: Asset['level']): Asset {
  return { path, name: path.split('/').at(-1) ?? '', level, type: '', parent: parentOf(path), tags: 0, order: 0, description: '', production: null }
}

export function parentOf(path: string): string {
  const at = path.lastIndexOf('/')
  return at < 0 ? '' : path.slice(0, at)
}

export function findNode(root: TreeNode, path: string): TreeNode | undefined {
  if (root.asset.path === path) return root
  for (const child of root.children) {
    if (path === child.asset.path || path.startsWith(`${child.asset.path}/`)) return findNode(child, path)
  }
  return undefined
}

/** Machines in flow order: the leaves below a node, or the node itself. */
export function machinesOf(node: TreeNode): Asset[] {
  if (node.children.length === 0) return [node.asset]
  return node.children.flatMap(machinesOf)
}

/** Most units that stand side by side as the goods flow. */
export const MOST_UNITS = 24

/** Whether a level is shown as a line: it is called one, or has a few machines and nothing else below it. */
export const isLine = (node: TreeNode): boolean =>
  node.children.length > 0 && !isConnection(node.asset.path) && machinesOf(node).length <= MOST_UNITS && (node.asset.level === 'line' || (node.asset.path !== '' && node.children.every((child) => child.children.length === 0)))

/** The lines of a plant, in its order. */
export const linesBelow = (node: TreeNode): TreeNode[] => (isLine(node) ? [node] : node.children.flatMap(linesBelow))

export const isConnection = (path: string): boolean => path === 'connections' || path.startsWith('connections/')

/** The order of the plant file, which is how its author reads the machine. */
export const byOrder = (a: Tag, b: Tag): number => a.order - b.order || a.id - b.id

export function tagsByAsset(tags: readonly Tag[]): Map<string, Tag[]> {
  const map = new Map<string, Tag[]>()
  for (const tag of tags) {
    const list = map.get(tag.asset)
    if (list) list.push(tag)
    else map.set(tag.asset, [tag])
  }
  for (const list of map.values()) list.sort(byOrder)
  return map
}

/** The tag that says what a machine is doing: the production section's, else its tag of kind state. */
export function stateTagOf(asset: Asset, tags: readonly Tag[] | undefined): Tag | undefined {
  if (!tags) return undefined
  const named = asset.production?.state
  return (named ? tags.find((tag) => tag.path === named) : undefined) ?? tags.find((tag) => tag.kind === 'state')
}

/** The value that tells most about an asset: one with a set-point, then one with limits, then one with a range. */
export function keyTagOf(tags: readonly Tag[] | undefined): Tag | undefined {
  if (!tags) return undefined
  const targets = new Set(tags.map((tag) => tag.setpoint).filter(Boolean))
  const values = tags.filter((tag) => tag.kind === 'value' && tag.type !== 'text' && !targets.has(tag.path))
  const score = (tag: Tag): number =>
    (tag.setpoint ? 4 : 0) +
    (Object.keys(tag.limits ?? {}).length ? 2 : 0) +
    (tag.low !== null && tag.high !== null ? 1 : 0) +
    (/\/(s|min|h)$/.test(tag.unit) ? 0.5 : 0) // among equals a rate says most about a machine
  return values.reduce<Tag | undefined>((best, tag) => (best && (score(best) > score(tag) || (score(best) === score(tag) && byOrder(best, tag) < 0)) ? best : tag), undefined)
}

const RUNNING = /^(execute|running|run|on|producing|auto|active|open|starting|completing|unholding|unsuspending)$/i
const WAITING = /^(suspended|suspending|starved|blocked|waiting)$/i

export type StateShape = 'running' | 'stopped' | 'waiting' | 'bad' | 'none'

/** Which of the four shapes a state word is drawn as (PackML's words and plain ones). */
export function shapeOf(word: string | undefined): StateShape {
  if (!word) return 'none'
  if (RUNNING.test(word)) return 'running'
  if (WAITING.test(word)) return 'waiting'
  return 'stopped'
}

/** What is written in capitals in every plant. */
const ABBREVIATIONS = new Set(['cip', 'sip', 'plc', 'oee', 'co2', 'hvac', 'ph', 'rpm', 'ro', 'uht', 'vfd', 'id'])

/** A tag with its machine: "Filler bowl level". */
export const tagOfMachine = (tag: Pick<Tag, 'asset' | 'name'>): string => `${human(tag.asset.split('/').at(-1) ?? '')} ${spoken(tag.name)}`

/** A path segment within a sentence: "bowl-pressure" becomes "bowl pressure", "belt1" "belt 1", "cip" "CIP". */
export function spoken(name: string): string {
  return name
    .replace(/[-_]+/g, ' ')
    .trim()
    .split(' ')
    .map((word) => (word === 'ph' ? 'pH' : ABBREVIATIONS.has(word) ? word.toUpperCase() : word.replace(/^([a-z]{3,})(\d+)$/i, '$1 $2')))
    .join(' ')
}

/** The same with a capital letter. */
export function human(name: string): string {
  const words = spoken(name)
  return words === 'pH' ? words : words.charAt(0).toUpperCase() + words.slice(1)
}
