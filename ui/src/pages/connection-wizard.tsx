import { useQuery } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { useState, type FormEvent } from 'react'
import { Dialog } from 'react-aria-components/Dialog'
import { Modal, ModalOverlay } from 'react-aria-components/Modal'
import { ApiError, get, post } from '../api/client'
import { modelChanged, useConnections, useSite } from '../api/queries'
import type { ChangeDetail, Driver, DriverSetting, Plan, PlantText, TestResult } from '../api/types'
import { Icon } from '../components/icons'
import { StepList } from '../components/test-steps'
import { Button, Loading, ProblemList, Trouble } from '../components/ui'
import { m, t } from '../i18n'
import { human } from '../model/tree'
import { configFrom, type Draft } from '../model/connection'
import { ChangeLines } from '../components/change-lines'
import '../styles/connections.css'

const STEPS = [m('Device'), m('Settings'), m('Test read'), m('Review')] as const

const NAME = /^[A-Za-z0-9_-]+$/

export function Wizard({ onClose, onDone }: { onClose: () => void; onDone: (name: string) => void }) {
  const drivers = useQuery({ queryKey: ['drivers'], queryFn: async ({ signal }) => (await get<{ drivers: Driver[] }>('drivers', {}, signal)).drivers, staleTime: Infinity })
  const site = useSite()
  const existing = useConnections()
  const navigate = useNavigate()
  const [step, setStep] = useState(0)
  const [driverName, setDriver] = useState('')
  const [name, setName] = useState('')
  const [edge, setEdge] = useState('')
  const [zone, setZone] = useState('')
  const [draft, setDraft] = useState<Draft>({})
  const [addresses, setAddresses] = useState('')
  const [test, setTest] = useState<{ result?: TestResult; problem?: unknown; busy: boolean }>({ busy: false })
  const [plan, setPlan] = useState<{ plan?: Plan; problem?: unknown; busy: boolean; stale: boolean }>({ busy: false, stale: false })
  const [reason, setReason] = useState('')
  const [applying, setApplying] = useState(false)
  const [shown, setShown] = useState(false) // problems appear once one tried to go on
  const driver = drivers.data?.find((d) => d.name === (driverName || drivers.data?.[0]?.name))
  const edges = site.data?.edges.map((e) => e.name) ?? []
  const chosenEdge = edge || edges[0] || 'edge-1'
  const { config, problems } = configFrom(driver?.settings ?? [], draft)
  const nameProblem = name === '' ? t('This is needed.') : !NAME.test(name) ? t('Letters, digits, - and _ only.') : existing.data?.some((c) => c.name === name) ? t('There is one of that name already.') : ''
  const list = addresses.split(/[\n,;]+/).map((a) => a.trim()).filter(Boolean).slice(0, 100)

  const makePlan = async (): Promise<void> => {
    setPlan({ busy: true, stale: false })
    try {
      const plant = await get<PlantText>('plant')
      const connection = { driver: driver?.name, ...config, edge: chosenEdge, ...(zone ? { zone } : {}) }
      setPlan({ plan: await post<Plan>('plant/connections', { name, connection, base: plant.version }), busy: false, stale: false })
    } catch (problem) {
      setPlan({ problem, busy: false, stale: problem instanceof ApiError && problem.code === 'stale_base' })
    }
  }
  const runTest = async (): Promise<void> => {
    setTest({ busy: true })
    try {
      setTest({ result: await post<TestResult>('connections/test', { edge: chosenEdge, driver: driver?.name, config, addresses: list }), busy: false })
    } catch (problem) {
      setTest({ problem, busy: false })
    }
  }
  const apply = async (): Promise<void> => {
    if (!plan.plan?.text) return
    setApplying(true)
    try {
      const body = { text: plan.plan.text, base: plan.plan.base, reason }
      if (plan.plan.control?.obstacles.length) {
        const change = await post<ChangeDetail>('plant/changes', body)
        void navigate({ to: '/changes', search: { n: String(change.id) } })
        return
      }
      await post('plant/apply', body)
      modelChanged()
      onDone(name)
    } catch (problem) {
      setApplying(false)
      const stale = problem instanceof ApiError && problem.code === 'stale_base'
      setPlan({ ...(stale ? {} : { plan: plan.plan }), problem, busy: false, stale })
    }
  }
  const forward = (event: FormEvent): void => {
    event.preventDefault()
    setShown(true)
    if (step === 0 && nameProblem) return
    if (step === 1 && Object.keys(problems).length) return
    if (step === 3) {
      if (reason.trim()) void apply()
      return
    }
    setShown(false)
    if (step === 2) void makePlan()
    setStep(step + 1)
  }
  const body = (): React.ReactNode => {
    if (drivers.error) return <Trouble error={drivers.error} retry={() => void drivers.refetch()} />
    if (!driver) return <Loading what={t('the drivers')} />
    if (step === 0) {
      return (
        <>
          <label className="field">
            <span>{t('Driver')}</span>
            <select value={driver.name} onChange={(event) => setDriver(event.target.value)}>
              {drivers.data?.map((d) => (
                <option key={d.name} value={d.name}>
                  {d.title} ({d.name})
                </option>
              ))}
            </select>
          </label>
          <label className="field">
            <span>{t('Name')}</span>
            <input autoFocus value={name} onChange={(event) => setName(event.target.value)} placeholder="plc-line1" aria-invalid={shown && nameProblem !== ''} />
            {shown && nameProblem ? <small className="field-problem">{nameProblem}</small> : <small className="muted">{t('Short, as people call the device.')}</small>}
          </label>
          <div className="field-pair">
            <label className="field">
              <span>{t('Edge that reads it')}</span>
              <select value={chosenEdge} onChange={(event) => setEdge(event.target.value)}>
                {(edges.length ? edges : ['edge-1']).map((e) => (
                  <option key={e}>{e}</option>
                ))}
              </select>
            </label>
            <label className="field">
              <span>{t('Zone')}</span>
              <input value={zone} onChange={(event) => setZone(event.target.value)} placeholder={t('optional')} />
            </label>
          </div>
        </>
      )
    }
    if (step === 1) {
      const main = [...driver.settings.filter((setting) => setting.required), ...driver.settings.filter((setting) => !setting.required)].slice(0, Math.max(4, driver.settings.filter((setting) => setting.required).length))
      const rest = driver.settings.filter((setting) => !main.includes(setting))
      const field = (setting: DriverSetting): React.ReactNode => (
        <SettingField key={setting.name} setting={setting} value={draft[setting.name]} problem={shown ? problems[setting.name] : undefined} onChange={(value) => setDraft({ ...draft, [setting.name]: value })} />
      )
      return driver.settings.length === 0 ? (
        <p>{t('This driver has no settings.')}</p>
      ) : (
        <>
          <div className="field-pair">{main.map(field)}</div>
          {rest.length ? (
            <details className="more-settings" open={shown && rest.some((setting) => problems[setting.name])}>
              <summary>{t('{{n}} more settings, all with a usual value', { n: rest.length })}</summary>
              <div className="field-pair">{rest.map(field)}</div>
            </details>
          ) : null}
        </>
      )
    }
    if (step === 2) {
      return (
        <>
          <label className="field">
            <span>{t('Addresses to read, one a line')}</span>
            <textarea rows={3} value={addresses} onChange={(event) => setAddresses(event.target.value)} placeholder={driver.name.startsWith('modbus') ? 'hr 0 float32\nhr 2 uint32' : ''} autoFocus />
            <small className="muted">{t('None is fine: then only the way to the device is tried. The test never writes.')}</small>
          </label>
          <div>
            <Button icon="play" isPending={test.busy} onPress={() => void runTest()}>
              {test.busy ? t('Testing …') : test.result ? t('Test again') : t('Test now')}
            </Button>
          </div>
          <div aria-live="polite">{test.result ? <StepList result={test.result} /> : test.problem ? <Problem error={test.problem} /> : null}</div>
        </>
      )
    }
    if (plan.busy) return <Loading what={t('the plan')} />
    if (plan.stale) {
      return (
        <div role="alert">
          <p className="form-problem">{t('Somebody changed the plant meanwhile. Nothing was applied. Plan again on the newest version, then look at it once more.')}</p>
          <Button className="below" onPress={() => void makePlan()}>
            {t('Plan again')}
          </Button>
        </div>
      )
    }
    return (
      <>
        {plan.plan ? <PlanView plan={plan.plan} /> : null}
        {plan.problem ? <Problem error={plan.problem} /> : null}
        {plan.plan ? (
          <label className="field">
            <span>{t('Reason, kept with the version')}</span>
            <input autoFocus value={reason} onChange={(event) => setReason(event.target.value)} aria-invalid={shown && !reason.trim()} maxLength={500} />
            {shown && !reason.trim() ? <small className="field-problem">{t('This is needed.')}</small> : null}
          </label>
        ) : (
          <Button onPress={() => void makePlan()}>{t('Plan again')}</Button>
        )}
      </>
    )
  }
  return (
    <ModalOverlay className="scrim" isOpen onOpenChange={(open) => !open && onClose()}>
      <Modal className="sheet wizard">
        <Dialog aria-label={t('Add connection')} className="dialog">
          <header className="sheet-head">
            <h2>{t('Add connection')}</h2>
            <Button kind="quiet" icon="close" label={t('Close')} onPress={onClose} />
          </header>
          <ol className="wizard-steps">
            {STEPS.map((text, i) => (
              <li key={text} data-step={i < step ? 'done' : i === step ? 'now' : 'later'} aria-current={i === step ? 'step' : undefined}>
                {i < step ? <Icon name="check" size={14} /> : `${i + 1}.`} {t(text)}
              </li>
            ))}
          </ol>
          <form className="form wizard-body" onSubmit={forward} noValidate>
            {body()}
            <div className="form-row">
              {step > 0 ? (
                <Button onPress={() => setStep(step - 1)} isDisabled={applying}>
                  {t('Back')}
                </Button>
              ) : null}
              <Button onPress={onClose} isDisabled={applying}>
                {t('Cancel')}
              </Button>
              <Button kind="primary" type="submit" isPending={applying} isDisabled={!driver || (step === 3 && !plan.plan)}>
                {step === 3 ? (applying ? t('Applying …') : t('Add {{name}}', { name })) : step === 2 ? (test.result?.steps.every((s) => s.reached) ? t('Review') : t('Review without a good test')) : t('Next')}
              </Button>
            </div>
          </form>
        </Dialog>
      </Modal>
    </ModalOverlay>
  )
}

function SettingField({ setting, value, problem, onChange }: { setting: DriverSetting; value: string | undefined; problem: string | undefined; onChange: (value: string) => void }) {
  const standard = setting.default === null || setting.default === undefined ? '' : String(setting.default)
  const label = human(setting.name)
  const hint = problem ? <small className="field-problem">{problem}</small> : setting.doc ? <small className="muted">{setting.doc}</small> : null
  if (setting.type === 'bool') {
    return (
      <label className="check">
        <input type="checkbox" checked={(value ?? standard) === 'true' || (value ?? standard) === 'True'} onChange={(event) => onChange(String(event.target.checked))} />
        <span>
          {label}
          {setting.doc ? <small className="muted"> {setting.doc}</small> : null}
        </span>
      </label>
    )
  }
  return (
    <label className="field">
      <span>
        {label}
        {setting.required ? '' : ` (${t('optional')})`}
      </span>
      {setting.choices ? (
        <select value={value ?? standard} onChange={(event) => onChange(event.target.value)}>
          {setting.required && !standard ? <option value="">{t('choose')}</option> : null}
          {setting.choices.map((choice) => (
            <option key={String(choice)} value={String(choice)}>
              {String(choice)}
            </option>
          ))}
        </select>
      ) : (
        <input value={value ?? ''} placeholder={standard} inputMode={setting.type === 'int' ? 'numeric' : setting.type === 'float' ? 'decimal' : 'text'} autoComplete="off" spellCheck={false} onChange={(event) => onChange(event.target.value)} aria-invalid={problem !== undefined} />
      )}
      {hint}
    </label>
  )
}

function PlanView({ plan }: { plan: Plan }) {
  return (
    <section aria-label={t('What will change')}>
      <h3>{t('What will change in the plant, version {{version}}', { version: plan.base })}</h3>
      <ChangeLines changes={plan.changes} />
      {plan.warnings.map((warning, i) => (
        <p key={i} className="plan-warning">
          {typeof warning === 'string' ? warning : [warning.path, warning.problem].filter(Boolean).join(': ')}
        </p>
      ))}
      {plan.control?.obstacles.map((one, i) => (
        <p key={i} className="plan-warning">
          {one.reason}
        </p>
      ))}
    </section>
  )
}

function Problem({ error }: { error: unknown }) {
  return (
    <div role="alert" className="form-problem">
      <p>{error instanceof Error ? error.message : String(error)}</p>
      {error instanceof ApiError ? <ProblemList error={error} /> : null}
    </div>
  )
}
