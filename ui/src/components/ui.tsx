import { Component, type ErrorInfo, type ReactNode } from 'react'
import { ApiError } from '../api/client'
import { t } from '../i18n'
import { Icon, type IconName } from './icons'

interface ButtonProps {
  kind?: 'primary' | 'plain' | 'quiet' | 'link'
  icon?: IconName
  iconEnd?: IconName
  label?: string // for icon-only buttons
  children?: ReactNode
  className?: string
  type?: 'button' | 'submit'
  isDisabled?: boolean
  isPending?: boolean
  onPress?: () => void
}

export function Button({ kind = 'plain', icon, iconEnd, label, children, className = '', type = 'button', isDisabled = false, isPending = false, onPress }: ButtonProps) {
  return (
    <button
      type={type}
      disabled={isDisabled}
      aria-busy={isPending || undefined}
      aria-label={label}
      title={children ? undefined : label}
      className={`button ${kind} ${children ? '' : 'bare'} ${className}`}
      onClick={() => {
        if (!isPending) onPress?.()
      }}
    >
      {icon ? <Icon name={icon} size={16} /> : null}
      {children}
      {iconEnd ? <Icon name={iconEnd} size={16} /> : null}
    </button>
  )
}

interface PanelProps {
  title?: ReactNode
  aside?: ReactNode
  children?: ReactNode
  className?: string
  label?: string
  flush?: boolean
}

export function Panel({ title, aside, children, className = '', label, flush = false }: PanelProps) {
  return (
    <section className={`panel ${flush ? 'flush' : ''} ${className}`} {...(label ? { 'aria-label': label } : {})}>
      {title !== undefined ? (
        <header className="panel-head">
          <h2>{title}</h2>
          {aside !== undefined ? <div className="panel-aside">{aside}</div> : null}
        </header>
      ) : null}
      {children}
    </section>
  )
}

export function Loading({ what }: { what: string }) {
  return (
    <div className="blank" role="status">
      <p className="muted">{t('Loading {{what}} …', { what })}</p>
    </div>
  )
}

export function Empty({ title, children, action }: { title: string; children?: ReactNode; action?: ReactNode }) {
  return (
    <div className="blank">
      <h2>{title}</h2>
      {children ? <p className="muted">{children}</p> : null}
      {action}
    </div>
  )
}

/** What went wrong and what to do about it, for every kind of refusal. */
export function Trouble({ error, retry }: { error: unknown; retry?: () => void }) {
  const status = error instanceof ApiError ? error.status : -1
  const [title, advice] =
    status === 0
      ? [t('Isthmus does not answer'), t('The page tries again by itself. Check that the server runs and that the network reaches it.')]
      : status === 403
        ? [t('You may not see this'), t('Your role does not include it. Ask an administrator of this site.')]
        : status === 404
          ? [t('Not found'), t('It may have been renamed or removed from the plant.')]
          : [t('Something went wrong'), error instanceof Error ? error.message : String(error)]
  return (
    <div className="blank" role="alert">
      <h2>{title}</h2>
      <p className="muted">{advice}</p>
      {error instanceof ApiError && error.problem.errors?.length ? <ProblemList error={error} /> : null}
      {retry ? <Button onPress={retry}>{t('Try again')}</Button> : null}
    </div>
  )
}

export function ProblemList({ error }: { error: ApiError }) {
  return (
    <ul className="problems">
      {(error.problem.errors ?? []).map((item, i) => (
        <li key={i}>
          {item.path || item.where ? <b>{item.path ?? item.where}: </b> : null}
          {item.problem}
          {item.value && !item.problem?.includes(', was ') ? t(', was {{value}}', { value: item.value }) : ''}
          {item.line ? <span className="muted"> ({t('line {{line}}', { line: item.line })})</span> : null}
        </li>
      ))}
    </ul>
  )
}

export class Boundary extends Component<{ children: ReactNode }, { error: unknown }> {
  override state: { error: unknown } = { error: undefined }
  static getDerivedStateFromError(error: unknown): { error: unknown } {
    return { error }
  }
  override componentDidCatch(error: Error, info: ErrorInfo): void {
    console.error(error, info.componentStack)
  }
  override render(): ReactNode {
    if (this.state.error === undefined) return this.props.children
    return <Trouble error={this.state.error} retry={() => this.setState({ error: undefined })} />
  }
}

export function Kbd({ children }: { children: ReactNode }) {
  return <kbd>{children}</kbd>
}

/** A choice of a few, side by side. */
export function Segmented<T extends string>({
  label,
  value,
  options,
  onChange,
}: {
  label: string
  value: T
  options: readonly (readonly [T, string])[]
  onChange: (value: T) => void
}) {
  return (
    <div className="segmented" role="group" aria-label={label}>
      {options.map(([key, text]) => (
        <button key={key} type="button" aria-pressed={key === value} onClick={() => onChange(key)}>
          {text}
        </button>
      ))}
    </div>
  )
}

/** A native choice: the platform's own list works on every phone and with every aid. */
export function Select<T extends string>({
  label,
  value,
  options,
  onChange,
  hideLabel = false,
}: {
  label: string
  value: T
  options: readonly (readonly [T, string])[]
  onChange: (value: T) => void
  hideLabel?: boolean
}) {
  return (
    <label className="select">
      <span className={hideLabel ? 'sr' : 'select-label'}>{label}</span>
      <select value={value} onChange={(event) => onChange(event.target.value as T)}>
        {options.map(([key, text]) => (
          <option key={key} value={key}>
            {text}
          </option>
        ))}
      </select>
    </label>
  )
}

export interface Column {
  name: string
  numeric?: boolean
  className?: string
}

/** The head of a list, the same on every page. */
export function TableHead({ columns }: { columns: readonly Column[] }) {
  return (
    <thead>
      <tr>
        {columns.map(({ name, numeric, className = '' }) => (
          <th key={name} scope="col" className={`${numeric ? 'num' : ''} ${className}`}>
            {name}
          </th>
        ))}
      </tr>
    </thead>
  )
}

/** A term and what it is, within a list of facts. */
export function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  )
}

export function PageHead({ title, sub, children }: { title: ReactNode; sub?: ReactNode; children?: ReactNode }) {
  return (
    <div className="page-head">
      <h1>{title}</h1>
      {sub ? <div className="page-sub">{sub}</div> : null}
      <div className="page-actions">{children}</div>
    </div>
  )
}
