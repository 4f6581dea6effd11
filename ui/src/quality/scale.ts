/** Where the values of a control chart stand on the screen. Pure, so that a test can look at it. */
export interface Frame {
  width: number
  height: number
  left: number
  right: number
  top: number
  bottom: number
}

export interface Scale {
  low: number
  high: number
  x: (index: number) => number
  y: (value: number) => number
}

type Column = readonly (number | null)[]

/** A scale that shows every value and limit; `more` are other lines worth seeing, such as the specification. */
export function scaleOf(columns: readonly Column[], count: number, frame: Frame, more: readonly (number | null | undefined)[] = []): Scale {
  let low = Infinity
  let high = -Infinity
  for (const column of [...columns, more]) {
    for (const value of column) {
      if (typeof value !== 'number') continue
      low = Math.min(low, value)
      high = Math.max(high, value)
    }
  }
  if (low > high) [low, high] = [0, 1]
  if (low === high) [low, high] = [low - Math.max(1, Math.abs(low) * 0.01), high + Math.max(1, Math.abs(high) * 0.01)]
  const pad = (high - low) * 0.08
  low -= pad
  high += pad
  const wide = frame.width - frame.left - frame.right
  const tall = frame.height - frame.top - frame.bottom
  return {
    low,
    high,
    x: (index) => frame.left + (count > 1 ? (index / (count - 1)) * wide : wide / 2),
    y: (value) => frame.top + ((high - value) / (high - low)) * tall,
  }
}

/** A line through the values; where there is none it begins anew. */
export function lineOf(values: Column, scale: Scale): string {
  let path = ''
  let drawn = false
  values.forEach((value, i) => {
    if (typeof value !== 'number') {
      drawn = false
      return
    }
    path += `${drawn ? 'L' : 'M'}${scale.x(i).toFixed(1)} ${scale.y(value).toFixed(1)}`
    drawn = true
  })
  return path
}

/** Limits as steps: each holds from half way before its point to half way after it. */
export function stepsOf(values: Column, scale: Scale): string {
  let path = ''
  let before: number | null = null
  values.forEach((value, i) => {
    if (typeof value !== 'number') {
      before = null
      return
    }
    const start = i === 0 ? scale.x(0) : (scale.x(i - 1) + scale.x(i)) / 2
    const end = i === values.length - 1 ? scale.x(i) : (scale.x(i) + scale.x(i + 1)) / 2
    const y = scale.y(value).toFixed(1)
    path += before === null ? `M${start.toFixed(1)} ${y}` : `L${start.toFixed(1)} ${y}`
    path += `L${(values.length === 1 ? start + 1 : end).toFixed(1)} ${y}`
    before = value
  })
  return path
}

/** The last number of a column. */
export const lastOf = (column: Column): number | undefined => column.filter((v): v is number => typeof v === 'number').at(-1)

/** A number as people type it, with a comma or a point. */
export const numberOf = (text: string): number => Number(text.replace(/\s/g, '').replace(',', '.').replace('\u2212', '-'))

/** Places of labels from top to bottom, moved so that none lies on another, as little as that takes. */
export function apart(places: readonly number[], height: number, top: number, bottom: number): number[] {
  const order = places.map((_, i) => i).sort((a, b) => (places[a] ?? 0) - (places[b] ?? 0))
  const groups: { first: number; count: number; sum: number }[] = []
  const at = (group: { count: number; sum: number }): number => {
    const middle = group.sum / group.count - ((group.count - 1) * height) / 2
    return Math.max(top, Math.min(middle, bottom - (group.count - 1) * height))
  }
  order.forEach((i, first) => {
    let group = { first, count: 1, sum: places[i] ?? 0 }
    for (let before = groups.at(-1); before && at(before) + before.count * height > at(group); before = groups.at(-1)) {
      groups.pop()
      group = { first: before.first, count: before.count + group.count, sum: before.sum + group.sum }
    }
    groups.push(group)
  })
  const found = [...places]
  for (const group of groups) {
    for (let n = 0; n < group.count; n++) found[order[group.first + n] as number] = at(group) + n * height
  }
  return found
}
