import { t } from '../../i18n'
import { decimalSign } from '../../model/control'
import { Icon } from '../icons'

/** Figures for gloved hands; what it types goes where the keyboard's goes. */
export function Keypad({ value, onChange, whole }: { value: string; onChange: (value: string) => void; whole: boolean }) {
  const sign = decimalSign()
  const put = (figure: string): void => onChange(value + figure)
  const turn = (): void => onChange(/^[-\u2212]/.test(value) ? value.slice(1) : `-${value}`)
  return (
    <div className="keypad" role="group" aria-label={t('Keypad')}>
      {['7', '8', '9', '4', '5', '6', '1', '2', '3'].map((figure) => (
        <button key={figure} type="button" onClick={() => put(figure)}>
          {figure}
        </button>
      ))}
      <button type="button" aria-label={t('Plus or minus')} onClick={turn}>
        ±
      </button>
      <button type="button" onClick={() => put('0')}>
        0
      </button>
      <button type="button" aria-label={t('Decimal sign')} disabled={whole || /[.,]/.test(value)} onClick={() => put(sign)}>
        {sign}
      </button>
      <button type="button" className="keypad-wide" onClick={() => onChange('')}>
        {t('Clear')}
      </button>
      <button type="button" aria-label={t('Take back the last figure')} onClick={() => onChange(value.slice(0, -1))}>
        <Icon name="left" />
      </button>
    </div>
  )
}
