import i18next, { type TOptions } from 'i18next'
import { en } from './locales/en'

/**
 * Texts are written in English where they are used and are their own keys; `locales/<language>.ts` gives the others.
 * English needs an entry only where a count changes the words.
 */
const languages: Record<string, () => Promise<Record<string, string>>> = {
  en: () => Promise.resolve(en),
}

void i18next.init({
  lng: 'en',
  fallbackLng: 'en',
  keySeparator: false,
  nsSeparator: false,
  returnEmptyString: false,
  interpolation: { escapeValue: false }, // React escapes
  resources: { en: { translation: en } },
})

export async function useLanguage(language: string): Promise<void> {
  const load = languages[language]
  if (!load) return
  i18next.addResourceBundle(language, 'translation', await load())
  await i18next.changeLanguage(language)
  document.documentElement.lang = language
}

export function t(key: string, options: TOptions = {}): string {
  return i18next.t(key, options)
}

/** Of numbers and dates. English is what the texts are in; the region is the browser's. */
export function locale(): string {
  const wish = typeof navigator === 'undefined' ? 'en' : navigator.language
  return wish.startsWith(i18next.language) && wish !== 'en-US' ? wish : i18next.language === 'en' ? 'en-GB' : i18next.language
}
