import type { Write } from '../../api/control'
import type { Tag } from '../../api/types'
import { withUnit } from '../../model/control'

/** Old and new value of a write, in the words and unit of its tag where that is known. */
export function writeText(write: Pick<Write, 'base' | 'value' | 'unit'>, tag: Tag | undefined): string {
  const say = (value: Write['base']): string => (tag ? withUnit(tag, value) : `${value ?? '–'}`)
  const unit = tag || !write.unit ? '' : ` ${write.unit}`
  return `${write.base === null ? '' : `${say(write.base)} → `}${say(write.value)}${unit}`
}
