import { m } from '../i18n'

/** What an OPC UA status code means on a screen. */

export type Quality = 'good' | 'uncertain' | 'stale' | 'bad'

const LAST_USABLE = new Set([0x408f0000, 0x40900000])

/** Source: OPC 10000-4 7.39: the top two bits are the severity. */
export function qualityOf(status: number): Quality {
  const code = status >>> 0
  if (code >>> 30 === 0) return 'good'
  if (LAST_USABLE.has((code & 0xffff0000) >>> 0)) return 'stale'
  if (code >>> 30 === 1) return 'uncertain'
  return 'bad'
}

/** The same of a code's standard name, as the JSON answers give it. */
export function qualityOfName(name: string): Quality {
  if (name.startsWith('Good')) return 'good'
  if (name.startsWith('Bad')) return 'bad'
  return /LastUsable/.test(name) ? 'stale' : 'uncertain'
}

const NAMES: Record<number, string> = {
  0x00960000: m('set by hand'),
  0x408f0000: m('no communication, last usable value'),
  0x40900000: m('last usable value'),
  0x40910000: m('substitute value'),
  0x40920000: m('initial value'),
  0x40930000: m('sensor not accurate'),
  0x40940000: m('outside its engineering range'),
  0x40950000: m('too few good sources'),
  0x80050000: m('communication error'),
  0x80070000: m('could not be decoded'),
  0x80090000: m('device gave an unknown answer'),
  0x800a0000: m('no answer in time'),
  0x800c0000: m('shut down'),
  0x80310000: m('no communication'),
  0x80320000: m('waiting for the first value'),
  0x80340000: m('address unknown to the device'),
  0x803a0000: m('not readable'),
  0x803c0000: m('out of range'),
  0x803d0000: m('not supported'),
  0x80740000: m('wrong type'),
  0x80890000: m('wrong configuration'),
  0x808a0000: m('not connected'),
  0x808b0000: m('device failure'),
  0x808c0000: m('sensor failure'),
  0x808d0000: m('out of service'),
  0x809b0000: m('no data'),
  0x809d0000: m('data lost'),
}

/** The cause in words; empty for plain good, the bare code for one we do not know. */
export function causeOf(status: number): string {
  const code = (status & 0xffff0000) >>> 0
  const known = NAMES[code]
  if (known) return known
  if (code === 0 || code === 0x40000000 || code === 0x80000000) return ''
  return `0x${(status >>> 0).toString(16).toUpperCase().padStart(8, '0')}`
}
