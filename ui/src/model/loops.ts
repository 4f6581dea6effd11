import type { Tag } from '../api/types'
import { bandOf, rangeOf } from './scale'
import { human } from './tree'

/** A value that is kept at a set-point. Units: half is in the tag's unit, from set-point to the edge of the band */
export interface Loop {
  tag: Tag
  setpoint: Tag
  half: number
  name: string
}

const MOST = 16
const SHARE_WITHOUT_BAND = 0.05

/** Every loop of a line, in the order of its machines. */
export function loopsOf(tags: readonly Tag[], order: readonly string[]): Loop[] {
  const known = new Map(tags.map((tag) => [tag.path, tag]))
  const place = new Map(order.map((path, i) => [path, i]))
  return tags
    .flatMap((tag) => {
      const setpoint = tag.setpoint ? known.get(tag.setpoint) : undefined
      const half = setpoint ? halfBand(tag) : undefined
      return setpoint && half ? [{ tag, setpoint, half, name: human(tag.name) }] : []
    })
    .sort((a, b) => (place.get(a.tag.asset) ?? 999) - (place.get(b.tag.asset) ?? 999) || a.tag.order - b.tag.order)
    .slice(0, MOST)
}

function halfBand(tag: Tag): number | undefined {
  const band = bandOf(tag)
  if (band) return (band[1] - band[0]) / 2
  const range = rangeOf(tag)
  return range ? (range[1] - range[0]) * SHARE_WITHOUT_BAND : undefined
}

/** How far a value is from its set-point, in bands: 1 is the edge. */
export function deviation(loop: Loop, value: number | undefined, setpoint: number | undefined): number | undefined {
  return value === undefined || setpoint === undefined ? undefined : (value - setpoint) / loop.half
}
