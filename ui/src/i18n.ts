import i18next, { type TOptions } from 'i18next'
import { initReactI18next } from 'react-i18next'
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
const catalogues: Record<Language, () => Promise<Catalogue>> = {
  en: () => Promise.resolve(en),
  fr: () => import('./locales/fr').then((m) => m.fr),
  de: () => import('./locales/de').then((m) => m.de),
}

void i18next.use(initReactI18next).init({
  lng: 'en',
  fallbackLng: 'en',
  keySeparator: false,
  nsSeparator: false,
  returnEmptyString: false,
  interpolation: { escapeValue: false }, // React escapes
  react: { useSuspense: false },
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

const loaded = new Set<Language>(['en'])

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
  if (!loaded.has(language)) {
    i18next.addResourceBundle(language, 'translation', await catalogues[language](), true, false)
    loaded.add(language)
  }
  await i18next.changeLanguage(language)
  document.documentElement.lang = language
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
