import type { Interlock, InterlockInput, Point } from '../../api/control'
import type { Tag } from '../../api/types'
import { t } from '../../i18n'
import { inputQuality, interlockVerdict, VERDICTS } from '../../model/control'
import { formatAge, formatNumber, formatValue } from '../../model/format'
import { human, tagOfMachine } from '../../model/tree'
import { Panel } from '../ui'
import { VerdictMark } from '../write/checks'

interface Shared {
  interlock: Interlock
  points: Point[]
}

/** Points of a machine mostly share one interlock: each is shown once, with what it stands before. */
function shared(points: readonly Point[]): Shared[] {
  const found = new Map<string, Shared>()
  for (const point of points) {
    if (!point.interlock?.expression) continue
    const before = found.get(point.interlock.expression)
    if (before) before.points.push(point)
    else found.set(point.interlock.expression, { interlock: point.interlock, points: [point] })
  }
  return [...found.values()]
}

const nameOf = (path: string): string => path.split('/').at(-1) ?? path

/** Interlocks with their truth as core sees it now; the truth at the moment of a write is the edge's. */
export function Interlocks({ points, tags }: { points: readonly Point[]; tags: readonly Tag[] }) {
  const all = shared(points)
  if (all.length === 0) return null
  const known = new Map(tags.map((tag) => [tag.path, tag]))
  const asset = points[0]?.path.split('/').slice(0, -1).join('/')
  return (
    <Panel title={t('Interlocks')} aside={t('{{n}} of {{all}} hold', { n: all.filter((one) => one.interlock.holds).length, all: all.length })}>
      {all.map(({ interlock, points: before }) => (
        <section key={interlock.expression} className="interlock">
          <h3 data-verdict={interlockVerdict(interlock)}>
            <VerdictMark verdict={interlockVerdict(interlock)} />
            <span className="interlock-for">{before.map((point) => human(nameOf(point.path))).join(', ')}</span>
            <b>{t(VERDICTS[interlockVerdict(interlock)])}</b>
          </h3>
          <code>{interlock.expression}</code>
          <ul>
            {interlock.inputs.map((input) => (
              <Input key={input.path} input={input} tag={known.get(input.path)} near={input.path.startsWith(`${asset}/`)} />
            ))}
          </ul>
        </section>
      ))}
    </Panel>
  )
}

function Input({ input, tag, near }: { input: InterlockInput; tag: Tag | undefined; near: boolean }) {
  const quality = inputQuality(input)
  const value = tag ? formatValue(tag, input.value) : input.value === null ? '–' : typeof input.value === 'string' ? input.value : formatNumber(input.value, Number.isInteger(input.value) ? 0 : 2)
  const words = { good: '', bad: t('Bad'), stale: t('Stale'), uncertain: t('Uncertain') }
  return (
    <li title={input.path}>
      <span>{near ? human(nameOf(input.path)) : tagOfMachine({ asset: input.path.split('/').slice(0, -1).join('/'), name: nameOf(input.path) })}</span>
      <span className="lv" data-q={quality}>
        <span className="lv-num">{value}</span>
        {tag?.unit && !tag.states ? <span className="lv-unit">{tag.unit}</span> : null}
        <span className="lv-note">{words[quality]}</span>
      </span>
      <span className="muted small age">{input.age_s === null ? t('never') : formatAge(input.age_s)}</span>
    </li>
  )
}
