import type { Tag } from '../api/types'

export interface TagFilter {
  under: string
  words: readonly string[]
  kind: string
  connection: string
  quality: string
}

/** Tags of a filter. Qualities come from a table of values, because the list itself has none. */
export function filterTags(tags: readonly Tag[], filter: TagFilter, quality?: ReadonlyMap<string, string>): Tag[] {
  const below = filter.under ? `${filter.under}/` : ''
  return tags.filter((tag) => {
    if (below && !tag.path.startsWith(below)) return false
    if (!below && filter.kind !== 'system' && tag.kind === 'system' && filter.words.length === 0) return false
    if (filter.kind && tag.kind !== filter.kind) return false
    if (filter.connection && tag.connection !== filter.connection) return false
    if (filter.quality && quality && quality.get(tag.path) !== filter.quality) return false
    if (filter.words.length) {
      const text = `${tag.path} ${tag.description} ${tag.address}`.toLowerCase()
      if (!filter.words.every((word) => text.includes(word))) return false
    }
    return true
  })
}

export function sortTags(tags: readonly Tag[], sort: string): Tag[] {
  const down = sort.startsWith('-')
  const key = down ? sort.slice(1) : sort
  if (key === '') return [...tags]
  const text = (tag: Tag): string =>
    key === 'name' ? tag.path : key === 'kind' ? tag.kind : key === 'connection' ? tag.connection : key === 'address' ? tag.address : tag.path
  const order = [...tags].sort((a, b) => text(a).localeCompare(text(b), undefined, { numeric: true }))
  return down ? order.reverse() : order
}
