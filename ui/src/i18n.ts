import i18next, { type TOptions } from 'i18next'
import { en } from './locales/en'

/**
 * Texts are written in English where they are used and are their own keys; `locales/<language>.ts` gives the others, and
 * English only where a count changes the words. A test holds that no language lacks a text and none has one too many.
 */
export const LANGUAGES = { en: 'English', fr: 'Français', de: 'Deutsch' } as const
export type Language = keyof typeof LANGUAGES

type Catalogue = Record<string, string>
/** What a part of the screens says in each language, English where a count changes the words; it comes with the part: `extend`. */
export type Words = Record<Language, Catalogue>
type Loading = Promise<{ default: Catalogue }>
/** The words of the pages that are opened first, and those of the others. */
const catalogues: Record<Exclude<Language, 'en'>, { first: () => Loading; rest: () => Loading }> = {
  fr: { first: () => import('virtual:words/fr/first'), rest: () => import('virtual:words/fr/rest') },
  de: { first: () => import('virtual:words/de/first'), rest: () => import('virtual:words/de/rest') },
}
const REST_AFTER_MS = 4000

void i18next.init({
  lng: 'en',
  fallbackLng: 'en',
  keySeparator: false,
  nsSeparator: false,
  returnEmptyString: false,
  interpolation: { escapeValue: false }, // React escapes
  resources: { en: { translation: en } },
})

const KEY = 'isthmus.language'

/** What the user chose; else the first language of the browser that there is; else English. */
export function wishedLanguage(): Language {
  const known = (tag: string | null): Language | undefined => (Object.keys(LANGUAGES) as Language[]).find((one) => tag?.toLowerCase().startsWith(one))
  try {
    const kept = known(localStorage.getItem(KEY))
    if (kept) return kept
  } catch {
    // no storage: as the browser says
  }
  return navigator.languages.map(known).find((one) => one !== undefined) ?? 'en'
}

/** Adds what a lazily loaded part says. Call it where the part is loaded. */
export function extend(words: Words): void {
  for (const [language, catalogue] of Object.entries(words)) i18next.addResourceBundle(language, 'translation', catalogue, true, false)
}

export async function setLanguage(language: Language, keep = true): Promise<void> {
  if (keep) {
    try {
      localStorage.setItem(KEY, language)
    } catch {
      // for this page only
    }
  }
  await Promise.all([take(language, 'first'), wholeWanted ? take(language, 'rest') : undefined])
  await i18next.changeLanguage(language)
  document.documentElement.lang = language
  setTimeout(() => void allWords(), REST_AFTER_MS) // before they are wanted
}

const taken = new Map<string, Promise<void>>()
let wholeWanted = false

function take(language: Language, part: 'first' | 'rest'): Promise<void> {
  if (language === 'en') return Promise.resolve()
  const key = `${language} ${part}`
  const before = taken.get(key)
  if (before) return before
  const made = catalogues[language][part]().then(({ default: words }) => void i18next.addResourceBundle(language, 'translation', words, true, true))
  taken.set(key, made)
  made.catch(() => taken.delete(key))
  return made
}

/** Every word of the language that is shown; a page in English is better than none. */
export function allWords(): Promise<void> {
  wholeWanted = true
  return take(language(), 'rest').catch(() => undefined)
}

/** A page with the words that only such pages need. Named `late(() => import(…))`, so that its words are left out of the first ones. */
export const late =
  <Page>(load: () => Promise<Page>) =>
  (): Promise<Page> =>
    Promise.all([load(), allWords()]).then(([page]) => page)

/** Tells when another language is shown; the answer ends it. */
export function whenLanguage(notify: () => void): () => void {
  i18next.on('languageChanged', notify)
  return () => i18next.off('languageChanged', notify)
}

export const language = (): Language => i18next.language as Language

export function t(key: string, options: TOptions = {}): string {
  return i18next.t(key, options)
}

/** Marks a text that is translated where it is shown, so that the catalogue's test sees it. */
export const m = <T extends string>(text: T): T => text

const HOME: Record<Language, string> = { en: 'en-GB', fr: 'fr-FR', de: 'de-DE' }

/** Of numbers and dates: the language shown, in the browser's own region where it has one for it. */
export function locale(): string {
  const shown = language()
  const wish = typeof navigator === 'undefined' ? '' : navigator.language
  return wish.startsWith(`${shown}-`) && wish !== 'en-US' ? wish : HOME[shown]
}
