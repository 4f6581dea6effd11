import { t } from '../i18n'
import { amount, STATE_WORDS, type OrderRow, type OrderState } from './data'

/** Running is filled, standing is hollow, both grey; the word is beside it. */
export function StateMark({ state }: { state: OrderState }) {
  return (
    <span className="order-state" data-state={state}>
      <i aria-hidden="true" /> {t(STATE_WORDS[state])}
    </span>
  )
}

/** Good of ordered, with the ordered quantity as a line where more was made. */
export function Progress({ order }: { order: Pick<OrderRow, 'good' | 'quantity' | 'unit' | 'progress' | 'over'> }) {
  const full = Math.max(1, order.progress)
  return (
    <span className="order-progress">
      <span className="order-bar" aria-hidden="true">
        <i style={{ width: `${(Math.max(0, order.progress) / full) * 100}%` }} />
        {full > 1 ? <b style={{ left: `${100 / full}%` }} /> : null}
      </span>
      <span className="order-of">
        <b>{amount(order.good)}</b> {t('of {{quantity}} {{unit}}', { quantity: amount(order.quantity), unit: order.unit })}
        {order.over ? <span className="tag-word">{t('over')}</span> : null}
      </span>
    </span>
  )
}
