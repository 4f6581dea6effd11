import { Link } from '@tanstack/react-router'
import { useState } from 'react'
import { Records, When } from '../components/records'
import { Button, Empty, Fact, Loading, Panel, Trouble } from '../components/ui'
import { t } from '../i18n'
import { amount, useAgain, useMay, usePoints, useProduct, useProducts, useReadings, useSkills, type Person, type Point, type Reading } from './data'
import { PointForm, ProductForm, ReadingForm, SkillForm } from './forms'

export function ProductList({ id }: { id: string }) {
  const products = useProducts()
  if (products.data === undefined) return <Panel>{products.error ? <Trouble error={products.error} retry={() => void products.refetch()} /> : <Loading what={t('Products')} />}</Panel>
  return (
    <Panel title={t('Products')} flush>
      {products.data.length ? (
        <Records label={t('Products')} heads={[t('Number'), t('Name'), t('Version'), t('On hand'), '']}>
          {products.data.map((one) => (
            <tr key={one.id} className={one.id === id ? 'open-row' : ''}>
              <th scope="row">
                <Link to="/orders" search={{ tab: 'products', id: one.id }}>
                  {one.id}
                </Link>
              </th>
              <td data-head={t('Name')}>{one.name}</td>
              <td data-head={t('Version')}>{one.version}</td>
              <td data-head={t('On hand')}>
                {amount(one.on_hand)} {one.unit}
              </td>
              <td>{one.made ? t('made here') : t('bought')}</td>
            </tr>
          ))}
        </Records>
      ) : (
        <Empty title={t('No product yet')}>{t('A product has a number, a routing and what goes into it; material has a number only.')}</Empty>
      )}
    </Panel>
  )
}

export function ProductPanel({ id }: { id: string }) {
  const found = useProduct(id)
  const may = useMay()
  const again = useAgain()
  const [changing, change] = useState(false)
  if (found.data === undefined) return <Panel>{found.error ? <Trouble error={found.error} retry={() => void found.refetch()} /> : <Loading what={id} />}</Panel>
  const one = found.data
  return (
    <div className="order-detail">
      <Panel title={`${one.id} · ${one.name}`} aside={may.plan ? <Button onPress={() => change(true)}>{t('Change')}</Button> : null}>
        <dl className="facts">
          <Fact name={t('Version')}>
            {one.version}, {one.by}, <When iso={one.at} />
          </Fact>
          <Fact name={t('Tracked by')}>{one.tracking === 'lot' ? t('lot') : one.tracking === 'serial' ? t('serial number') : t('not at all')}</Fact>
          <Fact name={t('More allowed, %')}>{amount(one.over_percent)}</Fact>
          <Fact name={t('Less allowed, %')}>{amount(one.under_percent)}</Fact>
          <Fact name={t('Cost of a unit')}>{one.cost === null ? <span className="muted">{t('not known')}</span> : amount(one.cost)}</Fact>
          {one.note ? <Fact name={t('Note')}>{one.note}</Fact> : null}
        </dl>
      </Panel>
      {one.operations.length ? (
        <Panel title={t('Operations')} flush>
          <Records label={t('Operations')} heads={[t('Operation'), t('Where'), t('Pieces a minute at best'), t('Labour, cost an hour'), t('Skills'), t('Steps')]}>
            {one.operations.map((op) => (
              <tr key={op.number}>
                <th scope="row">
                  {op.number} {op.name}
                </th>
                <td data-head={t('Where')} className="wrap">
                  {op.assets.join(', ')}
                </td>
                <td data-head={t('Pieces a minute at best')}>{op.ideal_count ? amount(String((op.ideal_count * 60) / (op.ideal_s ?? 60))) : '–'}</td>
                <td data-head={t('Labour, cost an hour')}>{op.labour_per_h == null ? '–' : amount(String(op.labour_per_h))}</td>
                <td data-head={t('Skills')} className="wrap">
                  {(op.skills ?? []).join(', ') || '–'}
                </td>
                <td data-head={t('Steps')}>{op.steps?.length ?? 0}</td>
              </tr>
            ))}
          </Records>
        </Panel>
      ) : null}
      {one.components.length ? (
        <Panel title={t('Material for one piece')} flush>
          <Records label={t('Material for one piece')} heads={[t('Material'), t('Quantity'), t('Operation'), t('Taken')]}>
            {one.components.map((line) => (
              <tr key={`${line.material}-${line.operation}`}>
                <th scope="row">{line.material}</th>
                <td data-head={t('Quantity')}>{amount(line.each)}</td>
                <td data-head={t('Operation')}>{line.operation}</td>
                <td data-head={t('Taken')}>{line.automatic ? t('by count') : t('by scan')}</td>
              </tr>
            ))}
          </Records>
        </Panel>
      ) : null}
      {changing ? (
        <ProductForm
          one={one}
          shut={() => {
            change(false)
            again()
          }}
        />
      ) : null}
    </div>
  )
}

export function PointList({ id }: { id: string }) {
  const points = usePoints()
  if (points.data === undefined) return <Panel>{points.error ? <Trouble error={points.error} retry={() => void points.refetch()} /> : <Loading what={t('Readings')} />}</Panel>
  return (
    <Panel title={t('Readings')} flush>
      {points.data.length ? (
        <Records label={t('Readings')} heads={[t('Number'), t('Name'), t('Asset'), t('Unit')]}>
          {points.data.map((one) => (
            <tr key={one.id} className={one.id === id ? 'open-row' : ''}>
              <th scope="row">
                <Link to="/orders" search={{ tab: 'readings', id: one.id }}>
                  {one.id}
                </Link>
              </th>
              <td data-head={t('Name')}>{one.name}</td>
              <td data-head={t('Asset')}>{one.asset || t('the whole site')}</td>
              <td data-head={t('Unit')}>{one.unit || '–'}</td>
            </tr>
          ))}
        </Records>
      ) : (
        <Empty title={t('No reading yet')}>{t('A reading is a number people take, within its limits.')}</Empty>
      )}
    </Panel>
  )
}

export function PointPanel({ id }: { id: string }) {
  const points = usePoints()
  const readings = useReadings(id)
  const may = useMay()
  const again = useAgain()
  const [ask, setAsk] = useState<'take' | 'change' | Reading>()
  const one = points.data?.find((point) => point.id === id)
  if (!one) return <Panel>{points.error ? <Trouble error={points.error} /> : <Loading what={id} />}</Panel>
  const shut = (): void => {
    setAsk(undefined)
    again()
  }
  return (
    <div className="order-detail">
      <Panel
        title={one.name}
        aside={
          <span className="row-acts">
            {may.plan ? (
              <Button kind="quiet" onPress={() => setAsk('change')}>
                {t('Change')}
              </Button>
            ) : null}
            {may.record ? (
              <Button kind="primary" onPress={() => setAsk('take')}>
                {t('Record')}
              </Button>
            ) : null}
          </span>
        }
      >
        <ReadingChart point={one} readings={readings.data ?? []} />
      </Panel>
      <Panel title={t('The last 30 days')} flush>
        <Records label={t('The last 30 days')} heads={[t('When'), t('Value'), t('Who'), t('Order'), t('Comment'), '']}>
          {(readings.data ?? []).map((reading) => (
            <tr key={reading.id}>
              <th scope="row">
                <When iso={reading.at} />
              </th>
              <td data-head={t('Value')}>
                {reading.outside ? <b>! {amount(reading.value)}</b> : amount(reading.value)} {one.unit} {reading.outside === 'low' ? t('too low') : reading.outside === 'high' ? t('too high') : ''}
              </td>
              <td data-head={t('Who')}>{reading.by}</td>
              <td data-head={t('Order')}>{reading.order || '–'}</td>
              <td data-head={t('Comment')} className="wrap">
                {reading.comment}
              </td>
              <td className="acts">
                {may.record ? (
                  <Button kind="quiet" onPress={() => setAsk(reading)}>
                    {t('Correct')}
                  </Button>
                ) : null}
              </td>
            </tr>
          ))}
        </Records>
      </Panel>
      {ask === 'change' ? <PointForm one={one} shut={shut} /> : ask === 'take' ? <ReadingForm one={one} shut={shut} /> : ask ? <ReadingForm one={one} replaces={ask} shut={shut} /> : null}
    </div>
  )
}

const WIDE = 640
const HIGH = 160

/** Values over time within their limits; the table below says the same in numbers. */
function ReadingChart({ point, readings }: { point: Point; readings: readonly Reading[] }) {
  if (!readings.length) return <p className="muted">{t('Nothing was read in the last 30 days')}</p>
  const limits = [point.low, point.high].filter((limit): limit is string => typeof limit === 'string').map(Number)
  const values = readings.map((one) => Number(one.value))
  const times = readings.map((one) => Date.parse(one.at))
  const [low, high] = [Math.min(...values, ...limits), Math.max(...values, ...limits)]
  const [first, last] = [Math.min(...times), Math.max(...times)]
  const y = (value: number): number => HIGH - 12 - ((value - low) / (high - low || 1)) * (HIGH - 24)
  const x = (time: number): number => 8 + ((time - first) / (last - first || 1)) * (WIDE - 16)
  const text = t('{{n}} readings, {{low}} to {{high}} {{unit}}', { n: readings.length, low: amount(String(Math.min(...values))), high: amount(String(Math.max(...values))), unit: point.unit })
  return (
    <svg className="reading-chart" viewBox={`0 0 ${WIDE} ${HIGH}`} role="img" aria-label={text}>
      {limits.map((limit, at) => (
        <g key={at}>
          <line x1="0" x2={WIDE} y1={y(limit)} y2={y(limit)} className="reading-limit" />
          <text x={WIDE - 4} y={y(limit) - 4} textAnchor="end">
            {amount(String(limit))}
          </text>
        </g>
      ))}
      <polyline className="reading-line" points={readings.map((one, at) => `${x(times[at] ?? 0)},${y(Number(one.value))}`).join(' ')} />
      {readings.map((one, at) => (
        <circle key={one.id} cx={x(times[at] ?? 0)} cy={y(Number(one.value))} r={one.outside ? 5 : 3} className={one.outside ? 'reading-out' : 'reading-dot'} />
      ))}
    </svg>
  )
}

export function People() {
  const may = useMay()
  const people = useSkills(may.plan)
  const again = useAgain()
  const [ask, setAsk] = useState<Person | 'new'>()
  const shut = (): void => {
    setAsk(undefined)
    again()
  }
  if (!may.plan) return <Panel><Empty title={t('You may not see this')}>{t('Who plans orders sees who was taught what.')}</Empty></Panel>
  if (people.data === undefined) return <Panel>{people.error ? <Trouble error={people.error} retry={() => void people.refetch()} /> : <Loading what={t('Skills')} />}</Panel>
  return (
    <Panel title={t('Skills')} flush aside={<Button icon="plus" onPress={() => setAsk('new')}>{t('Person')}</Button>}>
      {people.data.length ? (
        <Records label={t('Skills')} heads={[t('Person'), t('Skills'), '']}>
          {people.data.map((one) => (
            <tr key={one.person}>
              <th scope="row">{one.person}</th>
              <td data-head={t('Skills')} className="wrap">
                {one.skills.map((skill) => (skill.until ? t('{{skill}} until {{day}}', { skill: skill.skill, day: skill.until.slice(0, 10) }) : skill.skill)).join(', ')}
              </td>
              <td className="acts">
                <Button kind="quiet" onPress={() => setAsk(one)}>
                  {t('Change')}
                </Button>
              </td>
            </tr>
          ))}
        </Records>
      ) : (
        <Empty title={t('Nobody was taught anything yet')}>{t('Operations that ask for a skill are started only by who has it.')}</Empty>
      )}
      {ask ? <SkillForm {...(ask === 'new' ? {} : { one: ask })} shut={shut} /> : null}
    </Panel>
  )
}
