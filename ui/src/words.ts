import { m } from './i18n'

/** Words of the API and of keys that are translated where they are shown. States of machines are the plant's own words. */
export const WORDS = [
  ...[m('value'), m('counter'), m('state'), m('switch'), m('text'), m('system')],
  ...[m('site'), m('area'), m('line'), m('cell'), m('asset'), m('connection')],
  ...[m('viewer'), m('operator'), m('supervisor'), m('engineer'), m('maintainer'), m('security'), m('admin')],
  ...[m('link'), m('password'), m('passkey'), m('oidc'), m('badge'), m('break-glass')],
  ...[m('intent'), m('outcome'), m('note'), m('unknown')],
  ...[m('Good'), m('Slow'), m('Bad'), m('Connecting'), m('Stopped'), m('Stale'), m('Unknown')],
  ...[m('draft'), m('approved')],
  ...[m('Connected'), m('Values read'), m('Answer in time')],
] as const
