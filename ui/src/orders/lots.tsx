import { Link } from '@tanstack/react-router'
import { useState } from 'react'
import { Records, When } from '../components/records'
import { Empty, Button, Fact, Loading, Panel, Segmented, Trouble } from '../components/ui'
import { m, t } from '../i18n'
import { amount, useAgain, useFamily, useLot, useLots, useMay, type Family } from './data'
import { Signatures } from './detail'
import { CountForm } from './forms'

const KINDS: Record<string, string> = { receipt: m('received'), produce: m('made'), consume: m('taken'), give_back: m('given back'), adjust: m('counted') }

export function LotList({ search, id }: { search: string; id: string }) {
  const lots = useLots(search)
  if (lots.data === undefined) return <Panel>{lots.error ? <Trouble error={lots.error} retry={() => void lots.refetch()} /> : <Loading what={t('Lots')} />}</Panel>
  return (
    <Panel title={t('Lots')} flush>
      {lots.data.length ? (
        <Records label={t('Lots')} heads={[t('Lot'), t('Product'), t('On hand'), t('From'), t('Expires'), '']}>
          {lots.data.map((lot) => (
            <tr key={lot.id} className={lot.id === id ? 'open-row' : ''}>
              <th scope="row">
                <Link to="/orders" search={{ tab: 'lots', id: lot.id }}>
                  {lot.id}
                </Link>
              </th>
              <td data-head={t('Product')}>{lot.product}</td>
              <td data-head={t('On hand')}>{amount(lot.on_hand)}</td>
              <td data-head={t('From')}>{lot.order || lot.supplier || '–'}</td>
              <td data-head={t('Expires')}>{lot.expires ? <When iso={lot.expires} /> : '–'}</td>
              <td>{lot.held ? <b title={lot.held}>! {t('held')}</b> : null}</td>
            </tr>
          ))}
        </Records>
      ) : (
        <Empty title={t('No lot here')}>{t('A lot is received by its label, or made by an order.')}</Empty>
      )}
    </Panel>
  )
}

/** One lot: what came and went, what it was made of and what was made of it. */
export function LotPanel({ id }: { id: string }) {
  const found = useLot(id)
  const may = useMay()
  const again = useAgain()
  const [counting, count] = useState(false)
  const [direction, turn] = useState<'up' | 'down'>('up')
  if (found.data === undefined) return <Panel>{found.error ? <Trouble error={found.error} retry={() => void found.refetch()} /> : <Loading what={id} />}</Panel>
  const one = found.data
  const shut = (): void => {
    count(false)
    again()
  }
  return (
    <div className="order-detail">
      <Panel title={one.id} aside={may.correct && !one.serial ? <Button onPress={() => count(true)}>{t('Count')}</Button> : null}>
        {one.held ? (
          <p>
            <b>! {t('held')}</b> {one.held}
          </p>
        ) : null}
        <dl className="facts">
          <Fact name={t('Product')}>{one.product}</Fact>
          <Fact name={t('On hand')}>{amount(one.on_hand)}</Fact>
          <Fact name={t('Order')}>
            {one.order ? (
              <Link to="/orders" search={{ id: one.order }}>
                {one.order}
              </Link>
            ) : (
              '–'
            )}
          </Fact>
          {one.supplier ? <Fact name={t('Supplier, and its own number')}>{one.supplier}</Fact> : null}
          {one.place ? <Fact name={t('Place')}>{one.place}</Fact> : null}
          <Fact name={t('Began')}>
            <When iso={one.created} />
          </Fact>
        </dl>
      </Panel>
      <Panel
        title={t('Genealogy')}
        aside={
          <Segmented
            label={t('Direction')}
            value={direction}
            options={[
              ['up', t('Made of')],
              ['down', t('Went into')],
            ]}
            onChange={turn}
          />
        }
      >
        <FamilyTree id={id} direction={direction} />
      </Panel>
      <Signatures one={one} />
      <Panel title={t('What came and went')} flush>
        <Records label={t('What came and went')} heads={[t('When'), t('What'), t('Quantity'), t('Order'), t('Who'), '']}>
          {one.moves.map((move, at) => (
            <tr key={at}>
              <th scope="row">
                <When iso={move.at} />
              </th>
              <td data-head={t('What')}>{t(KINDS[move.kind] ?? move.kind)}</td>
              <td data-head={t('Quantity')}>{amount(move.quantity)}</td>
              <td data-head={t('Order')}>{move.order || '–'}</td>
              <td data-head={t('Who')}>{move.automatic ? t('by count') : move.by}</td>
              <td className="wrap">{move.reason}</td>
            </tr>
          ))}
        </Records>
      </Panel>
      {counting ? <CountForm one={one} shut={shut} /> : null}
    </div>
  )
}

const MOST_ROWS = 300

/** The family as a tree, a lot once below each it belongs to; a text, so that it reads on every screen. */
function FamilyTree({ id, direction }: { id: string; direction: 'up' | 'down' }) {
  const family = useFamily(id, direction)
  if (family.data === undefined) return family.error ? <Trouble error={family.error} retry={() => void family.refetch()} /> : <Loading what={t('Genealogy')} />
  const { rows, cut } = flat(family.data, id, direction)
  if (rows.length < 2) return <p className="muted">{direction === 'up' ? t('Nothing that is known went into it') : t('Nothing was made of it yet')}</p>
  return (
    <>
      <ul className="family">
        {rows.map((row, at) => (
          <li key={at} style={{ paddingLeft: `${row.depth * 20}px` }}>
            <span aria-hidden="true">{row.depth ? '└ ' : ''}</span>
            <Link to="/orders" search={{ tab: 'lots', id: row.lot }}>
              {row.lot}
            </Link>{' '}
            <span className="muted">{row.product}</span> {row.quantity ? amount(row.quantity) : ''} {row.held ? <b title={row.held}>! {t('held')}</b> : null}
          </li>
        ))}
      </ul>
      {cut || !family.data.complete ? <p className="muted small">{t('There is more than is shown here')}</p> : null}
    </>
  )
}

interface FamilyRow {
  lot: string
  product: string
  held: string
  quantity: string
  depth: number
}

function flat(family: Family, id: string, direction: 'up' | 'down'): { rows: FamilyRow[]; cut: boolean } {
  const lots = new Map(family.lots.map((lot) => [lot.id, lot]))
  const below = new Map<string, { lot: string; quantity: string }[]>()
  for (const link of family.links) {
    const [from, to] = direction === 'up' ? [link.child, link.parent] : [link.parent, link.child]
    below.set(from, [...(below.get(from) ?? []), { lot: to, quantity: link.quantity }])
  }
  const rows: FamilyRow[] = []
  const visit = (lot: string, quantity: string, depth: number): void => {
    if (rows.length >= MOST_ROWS) return
    const known = lots.get(lot)
    rows.push({ lot, product: known?.product ?? '', held: known?.held ?? '', quantity, depth })
    for (const next of below.get(lot) ?? []) visit(next.lot, next.quantity, depth + 1)
  }
  visit(id, '', 0)
  return { rows, cut: rows.length >= MOST_ROWS }
}
