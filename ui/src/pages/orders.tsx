import { Link, useNavigate, useSearch } from '@tanstack/react-router'
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { ApiError, get } from '../api/client'
import { Records, When } from '../components/records'
import { Button, Empty, Loading, PageHead, Panel, Segmented, Trouble } from '../components/ui'
import { m, t } from '../i18n'
import { useAgain, useMay, useOrders, type OrderRow } from '../orders/data'
import { OrderPanel } from '../orders/detail'
import { LotForm, NewOrder, PointForm, ProductForm } from '../orders/forms'
import { LotList, LotPanel } from '../orders/lots'
import { People, PointList, PointPanel, ProductList, ProductPanel } from '../orders/others'
import { Progress, StateMark } from '../orders/parts'
import '../styles/records.css'
import '../styles/orders.css'

const TABS = [
  ['orders', m('Orders'), m('New order')],
  ['products', m('Products'), m('New product')],
  ['lots', m('Lots'), m('Receive a lot')],
  ['readings', m('Readings'), m('New reading')],
  ['people', m('Skills'), ''],
] as const
type Tab = (typeof TABS)[number][0]

/** Reasons for scrap and rework that the plant offers; none where it does not say. */
function useReasons(): Record<'scrap' | 'rework', readonly string[]> {
  const found = useQuery({
    queryKey: ['reasons', 'losses'],
    queryFn: async ({ signal }) => {
      const ask = async (kind: string): Promise<string[]> => {
        try {
          const answer = await get<{ reasons: { key: string }[] }>('production/reasons', { kind }, signal)
          return answer.reasons.map((one) => one.key)
        } catch (error) {
          if (error instanceof ApiError && error.status === 404) return []
          throw error
        }
      }
      const [scrap, rework] = await Promise.all([ask('scrap'), ask('rework')])
      return { scrap, rework }
    },
    staleTime: 60_000,
  })
  return found.data ?? { scrap: [], rework: [] }
}

/** What is made and of what: orders with their life, products, lots, readings, skills. */
export function OrdersPage() {
  const search = useSearch({ from: '/orders' })
  const navigate = useNavigate()
  const may = useMay()
  const again = useAgain()
  const [adding, add] = useState(false)
  const tab: Tab = TABS.find(([key]) => key === search.tab)?.[0] ?? 'orders'
  const verb = TABS.find(([key]) => key === tab)?.[2] ?? ''
  const id = search.id ?? ''
  const allowed = verb !== '' && (tab === 'lots' ? may.record : may.plan)
  const shut = (): void => {
    add(false)
    again()
  }
  return (
    <div className="page records-page orders-page">
      <PageHead title={t('Orders')}>
        {allowed ? (
          <Button kind="primary" icon="plus" onPress={() => add(true)}>
            {t(verb)}
          </Button>
        ) : null}
      </PageHead>
      <nav className="tabs" aria-label={t('Orders')}>
        {TABS.map(([key, name]) => (
          <Link key={key} to="/orders" search={key === 'orders' ? {} : { tab: key }} activeOptions={{ includeSearch: true, exact: true }} aria-current={key === tab ? 'page' : undefined}>
            {t(name)}
          </Link>
        ))}
      </nav>
      {tab === 'people' ? (
        <People />
      ) : (
        <div className="orders-split" data-open={id ? '1' : undefined}>
          <div className="orders-list">
            <List tab={tab} id={id} q={search.q ?? ''} />
          </div>
          {id ? <One tab={tab} id={id} /> : null}
        </div>
      )}
      {adding && tab === 'orders' ? (
        <NewOrder shut={shut} open={(made) => void navigate({ to: '/orders', search: { id: made } })} />
      ) : adding && tab === 'products' ? (
        <ProductForm shut={shut} />
      ) : adding && tab === 'lots' ? (
        <LotForm shut={shut} />
      ) : adding ? (
        <PointForm shut={shut} />
      ) : null}
    </div>
  )
}

function List({ tab, id, q }: { tab: Tab; id: string; q: string }) {
  switch (tab) {
    case 'products':
      return <ProductList id={id} />
    case 'lots':
      return (
        <>
          <SearchField tab="lots" q={q} />
          <LotList search={q} id={id} />
        </>
      )
    case 'readings':
      return <PointList id={id} />
    default:
      return <OrderList id={id} q={q} />
  }
}

function One({ tab, id }: { tab: Tab; id: string }) {
  const reasons = useReasons()
  switch (tab) {
    case 'products':
      return <ProductPanel key={id} id={id} />
    case 'lots':
      return <LotPanel key={id} id={id} />
    case 'readings':
      return <PointPanel key={id} id={id} />
    default:
      return <OrderPanel key={id} id={id} reasons={reasons} />
  }
}

function SearchField({ tab, q }: { tab?: string; q: string }) {
  const navigate = useNavigate()
  return (
    <label className="orders-search">
      <span className="sr">{t('Search')}</span>
      <input type="search" defaultValue={q} placeholder={t('Order, lot, product')} onChange={(event) => void navigate({ to: '/orders', search: { ...(tab ? { tab } : {}), ...(event.target.value ? { q: event.target.value } : {}) }, replace: true })} />
    </label>
  )
}

function OrderList({ id, q }: { id: string; q: string }) {
  const [ended, show] = useState(false)
  const orders = useOrders(ended, q)
  return (
    <>
      <div className="orders-filter">
        <Segmented
          label={t('Which orders')}
          value={ended ? 'ended' : 'open'}
          options={[
            ['open', t('Open')],
            ['ended', t('Ended')],
          ]}
          onChange={(value) => show(value === 'ended')}
        />
        <SearchField q={q} />
      </div>
      <Panel flush>
        {orders.data === undefined ? (
          orders.error ? (
            <Trouble error={orders.error} retry={() => void orders.refetch()} />
          ) : (
            <Loading what={t('Orders')} />
          )
        ) : orders.data.length ? (
          <Records label={t('Orders')} heads={[t('Order'), t('Product'), t('State'), t('Progress'), t('Due'), t('Where')]}>
            {orders.data.map((one) => (
              <Row key={one.id} one={one} open={one.id === id} />
            ))}
          </Records>
        ) : (
          <Empty title={t('No order here')}>{t('Plan one for a product that has a routing.')}</Empty>
        )}
      </Panel>
    </>
  )
}

function Row({ one, open }: { one: OrderRow; open: boolean }) {
  const late = one.due !== null && Date.parse(one.due) < Date.now() && !one.ended
  const where = [...new Set(one.jobs.filter((job) => job.state === 'running').map((job) => job.asset))]
  return (
    <tr className={open ? 'open-row' : ''}>
      <th scope="row">
        <Link to="/orders" search={{ id: one.id }}>
          {one.id}
        </Link>
      </th>
      <td data-head={t('Product')}>{one.name}</td>
      <td data-head={t('State')}>
        <StateMark state={one.state} />
      </td>
      <td data-head={t('Progress')}>
        <Progress order={one} />
      </td>
      <td data-head={t('Due')}>
        {one.due ? (
          <>
            <When iso={one.due} /> {late ? <b>! {t('late')}</b> : null}
          </>
        ) : (
          '–'
        )}
      </td>
      <td data-head={t('Where')}>{where.join(', ') || '–'}</td>
    </tr>
  )
}
