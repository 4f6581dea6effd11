import { useState, type ReactNode } from 'react'
import { put, remove } from '../api/client'
import { ChoiceField, SheetForm, TextField, written } from '../components/records'
import { Button } from '../components/ui'
import { LANGUAGES, t } from '../i18n'
import { KIND_WORDS, minutes, useContacts, type CallOut, type Channel, type Rota, type Rule, type Step } from './data'

const PRIORITIES = ['critical', 'high', 'medium', 'low'] as const
const lines = (form: FormData, name: string): string[] =>
  written(form, name)
    .split(/[\n,]+/)
    .map((one) => one.trim())
    .filter(Boolean)
const at = (part: string, name: string): string => `callout/${part}/${encodeURIComponent(name)}`

interface AreaProps {
  field: string
  label: string
  hint: string
  value: string
}

function Area({ field, label, hint, value }: AreaProps) {
  return (
    <label className="field">
      <span>{label}</span>
      <textarea name={field} rows={Math.max(3, value.split('\n').length)} defaultValue={value} aria-describedby={`${field}-hint`} />
      <small id={`${field}-hint`} className="muted">
        {hint}
      </small>
    </label>
  )
}

function NameField({ one }: { one: { name: string } | undefined }) {
  return one ? null : <TextField name="name" label={t('Name')} pattern="[A-Za-z][A-Za-z0-9_\-]*" maxLength={63} />
}

export function RotaForm({ all, one, shut }: { all: CallOut; one: Rota | undefined; shut: () => void }) {
  const send = async (form: FormData): Promise<void> => {
    await put(at('rotas', one?.name ?? written(form, 'name')), {
      people: lines(form, 'people'),
      first: written(form, 'first'),
      weeks: Number(written(form, 'weeks')),
      hand_over: written(form, 'hand_over'),
      hours: written(form, 'hours'),
      holidays: lines(form, 'holidays').map((line) => ({ day: line.split(/\s+/)[0], person: line.split(/\s+/).slice(1).join(' ') })),
      exceptions: one?.exceptions ?? [],
      base: one?.version ?? 0,
    })
  }
  return (
    <SheetForm title={one ? t('Change rota {{name}}', { name: one.name }) : t('New rota')} verb={t('Save')} onClose={shut} send={send}>
      <NameField one={one} />
      <Area field="people" label={t('People')} hint={t('In the order of their turns, one a line. Accounts: {{names}}', { names: all.people.map((p) => p.name).join(', ') })} value={(one?.people ?? []).join('\n')} />
      <div className="callout-pair">
        <TextField name="first" label={t('A day of the first turn')} type="date" defaultValue={one?.first ?? new Date().toISOString().slice(0, 10)} />
        <TextField name="weeks" label={t('Weeks of a turn')} type="number" defaultValue={String(one?.weeks ?? 1)} />
      </div>
      <TextField name="hand_over" label={t('Hand-over')} hint={t('Day and plant time, such as Mon 08:00')} defaultValue={one?.hand_over ?? 'Mon 08:00'} />
      <TextField name="hours" label={t('Only at these times')} required={false} hint={t('Empty: always. Otherwise such as Mon 17:00-Fri 08:00, or 22:00-06:00 for every day')} defaultValue={one?.hours ?? ''} />
      <Area field="holidays" label={t('Holidays')} hint={t('One a line: a day such as 2026-12-25, then who is on duty; without a name nobody is')} value={(one?.holidays ?? []).map((h) => `${h.day} ${h.person ?? ''}`.trim()).join('\n')} />
    </SheetForm>
  )
}

/** Somebody takes over for a while: what is changed most often. */
export function StandInForm({ all, one, shut }: { all: CallOut; one: Rota; shut: () => void }) {
  const [kept, setKept] = useState(one.exceptions ?? [])
  const send = async (form: FormData): Promise<void> => {
    const start = written(form, 'start')
    const added = start ? [{ start, end: written(form, 'end'), person: written(form, 'person'), reason: written(form, 'reason') }] : []
    const { people, first, weeks, hand_over, hours, holidays } = one
    await put(at('rotas', one.name), { people, first, weeks, hand_over, hours, holidays, exceptions: [...kept, ...added], base: one.version })
  }
  return (
    <SheetForm title={t('Stand in on {{name}}', { name: one.name })} verb={t('Save')} onClose={shut} send={send}>
      <ChoiceField name="person" label={t('Who')} options={all.people.map((p) => [p.name, p.name])} />
      <div className="callout-pair">
        <TextField name="start" label={t('From')} type="datetime-local" required={!one.exceptions?.length} />
        <TextField name="end" label={t('Until')} type="datetime-local" required={!one.exceptions?.length} />
      </div>
      <p className="muted small">{t('Plant time, {{zone}}', { zone: all.timezone })}</p>
      <TextField name="reason" label={t('Reason')} required={false} />
      {kept.length ? (
        <ul className="stand-ins">
          {kept.map((exchange, i) => (
            <li key={i}>
              <span>{`${exchange.person || t('nobody')} ${exchange.start.slice(0, 16).replace('T', ' ')} – ${exchange.end.slice(0, 16).replace('T', ' ')}`}</span>
              <Button kind="quiet" icon="close" label={t('Remove')} onPress={() => setKept(kept.filter((_, k) => k !== i))} />
            </li>
          ))}
        </ul>
      ) : null}
    </SheetForm>
  )
}

interface Draft {
  key: number
  who: string
  channels: readonly string[]
  after: string
  repeat: string
  times: string
}

let drafts = 0
const draft = (step?: Step): Draft => ({
  key: (drafts += 1),
  who: step?.who ?? '',
  channels: step?.channels ?? [],
  after: minutes(step?.after_s ?? 0),
  repeat: minutes(step?.repeat_s ?? 0),
  times: String(step?.times ?? 0),
})

export function RuleForm({ all, one, shut }: { all: CallOut; one: Rule | undefined; shut: () => void }) {
  const [steps, setSteps] = useState<Draft[]>(() => (one ? one.steps.map(draft) : [draft()]))
  const send = async (form: FormData): Promise<void> => {
    const quiet = written(form, 'quiet')
    await put(at('rules', one?.name ?? written(form, 'name')), {
      priorities: PRIORITIES.filter((key) => form.get(key)),
      steps: steps.map(({ key }) => ({
        who: written(form, `who-${key}`),
        channels: form.getAll(`channels-${key}`),
        after_s: Number(written(form, `after-${key}`)) * 60,
        repeat_s: Number(written(form, `repeat-${key}`)) * 60,
        times: Number(written(form, `times-${key}`)),
      })),
      under: lines(form, 'under'),
      zones: lines(form, 'zones'),
      quiet: quiet ? [{ hours: quiet, priorities: PRIORITIES.filter((key) => form.get(`quiet-${key}`)) }] : [],
      group_s: Number(written(form, 'group_s')),
      then_s: Number(written(form, 'then_s')),
      until: written(form, 'until'),
      enabled: form.get('enabled') !== null,
      base: one?.version ?? 0,
    })
  }
  const quiet = one?.quiet?.[0]
  return (
    <SheetForm title={one ? t('Change rule {{name}}', { name: one.name }) : t('New rule')} verb={t('Save')} onClose={shut} send={send}>
      <NameField one={one} />
      <Ticks legend={t('Priorities')} prefix="" on={one?.priorities ?? ['critical', 'high']} />
      <TextField name="under" label={t('Below these paths')} required={false} hint={t('Empty: the whole site. Several with commas')} defaultValue={(one?.under ?? []).join(', ')} />
      <TextField name="zones" label={t('In these zones')} required={false} defaultValue={(one?.zones ?? []).join(', ')} />
      {steps.map((step, i) => (
        <StepFields key={step.key} step={step} number={i + 1} all={all} remove={steps.length > 1 ? () => setSteps(steps.filter((other) => other !== step)) : undefined} />
      ))}
      <Button icon="plus" onPress={() => setSteps([...steps, draft()])}>
        {t('Another step')}
      </Button>
      <TextField name="quiet" label={t('Quiet hours')} required={false} hint={t('Such as 22:00-06:00; alarms of the priorities below wait until then')} defaultValue={quiet?.hours ?? ''} />
      <Ticks legend={t('Quiet for')} prefix="quiet-" on={quiet?.priorities ?? ['low', 'medium']} />
      <div className="callout-pair">
        <TextField name="group_s" label={t('Gather for, s')} type="number" defaultValue={String(one?.group_s ?? 10)} />
        <TextField name="then_s" label={t('While calling, s')} type="number" defaultValue={String(one?.then_s ?? 60)} />
      </div>
      <ChoiceField name="until" label={t('Call until')} options={[['acknowledged', t('somebody acknowledges')], ['returned', t('it is acknowledged or over by itself')]]} defaultValue={one?.until ?? 'acknowledged'} />
      <label className="tick">
        <input type="checkbox" name="enabled" defaultChecked={one?.enabled ?? true} /> {t('In force')}
      </label>
    </SheetForm>
  )
}

function Ticks({ legend, prefix, on }: { legend: string; prefix: string; on: readonly string[] }) {
  const words = { critical: t('Critical'), high: t('High'), medium: t('Medium'), low: t('Low') }
  return (
    <fieldset className="ticks">
      <legend>{legend}</legend>
      {PRIORITIES.map((key) => (
        <label key={key} className="tick">
          <input type="checkbox" name={`${prefix}${key}`} defaultChecked={on.includes(key)} /> {words[key]}
        </label>
      ))}
    </fieldset>
  )
}

function StepFields({ step, number, all, remove: drop }: { step: Draft; number: number; all: CallOut; remove: (() => void) | undefined }): ReactNode {
  const who: [string, string][] = [
    ...all.rotas.map(({ name }): [string, string] => [`rota:${name}`, t('whoever is on duty on {{name}}', { name })]),
    ...all.rotas.map(({ name }): [string, string] => [`all:${name}`, t('everybody on {{name}}', { name })]),
    ...all.people.map(({ name }): [string, string] => [`person:${name}`, name]),
  ]
  return (
    <fieldset className="step-fields">
      <legend>{t('Step {{n}}', { n: number })}</legend>
      <ChoiceField name={`who-${step.key}`} label={t('Who')} options={who} defaultValue={step.who} />
      <div className="ticks">
        {all.channels.map(({ name }) => (
          <label key={name} className="tick">
            <input type="checkbox" name={`channels-${step.key}`} value={name} defaultChecked={step.channels.includes(name)} /> {name}
          </label>
        ))}
      </div>
      <div className="callout-three">
        <TextField name={`after-${step.key}`} label={t('After, min')} type="number" defaultValue={step.after} />
        <TextField name={`repeat-${step.key}`} label={t('Again every, min')} type="number" defaultValue={step.repeat} />
        <TextField name={`times-${step.key}`} label={t('How often again')} type="number" defaultValue={step.times} />
      </div>
      {drop ? (
        <Button kind="quiet" icon="close" onPress={drop}>
          {t('Remove this step')}
        </Button>
      ) : null}
    </fieldset>
  )
}

export function ChannelForm({ one, shut }: { one: Channel | undefined; shut: () => void }) {
  const send = (form: FormData): Promise<unknown> =>
    put(at('channels', one?.name ?? written(form, 'name')), { kind: written(form, 'kind'), url: written(form, 'url'), personal: form.get('personal') !== null, base: one?.version ?? 0 })
  return (
    <SheetForm title={one ? t('Change channel {{name}}', { name: one.name }) : t('New channel')} verb={t('Save')} onClose={shut} send={send}>
      <NameField one={one} />
      <ChoiceField name="kind" label={t('Kind')} options={Object.entries(KIND_WORDS).map(([key, text]) => [key, t(text)])} defaultValue={one?.kind ?? 'email'} />
      <TextField name="url" label={t('Secret')} hint={t('The reference, such as secret:mail. The address itself is set on the machine with: isthmus secret set mail')} defaultValue={one?.url ?? 'secret:'} />
      <label className="tick">
        <input type="checkbox" name="personal" defaultChecked={one?.personal ?? true} /> {t('Each person has an address of their own on it')}
      </label>
    </SheetForm>
  )
}

export function ContactForm({ all, person, shut }: { all: CallOut; person: string; shut: () => void }) {
  const contacts = useContacts(true)
  const one = contacts.data?.find((contact) => contact.person === person)
  const personal = all.channels.filter((channel) => channel.personal)
  const send = (form: FormData): Promise<unknown> => {
    const addresses = Object.fromEntries(personal.map(({ name }) => [name, written(form, `to-${name}`)]).filter(([, address]) => address))
    return Object.keys(addresses).length || !one ? put(at('contacts', person), { language: written(form, 'language'), addresses }) : remove(at('contacts', person))
  }
  if (contacts.data === undefined) return null
  return (
    <SheetForm title={t('How {{name}} is reached', { name: person })} verb={t('Save')} onClose={shut} send={send}>
      {personal.map(({ name, kind }) => (
        <TextField key={name} name={`to-${name}`} label={`${name}, ${t(KIND_WORDS[kind])}`} required={false} maxLength={200} defaultValue={one?.addresses[name] ?? ''} />
      ))}
      <ChoiceField name="language" label={t('Language')} options={Object.entries(LANGUAGES)} defaultValue={one?.language ?? 'en'} />
      <p className="muted small">{t('Kept to tell this person of alarms, shown only to those who may change it, and erased with the account.')}</p>
    </SheetForm>
  )
}

export function RemoveForm({ part, name, shut }: { part: 'rotas' | 'rules' | 'channels'; name: string; shut: () => void }) {
  return (
    <SheetForm title={t('Remove {{name}}', { name })} verb={t('Remove')} onClose={shut} send={() => remove(at(part, name))}>
      <p>{t('{{name}} is not used any more from now on. Calls under way go on as they began.', { name })}</p>
    </SheetForm>
  )
}
