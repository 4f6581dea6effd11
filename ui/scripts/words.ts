// Cuts the catalogue of a language in two: the words of the pages that are opened first, and the rest, which comes with the pages
// that a router names with `late(() => import(…))`. Nothing is written by hand: what imports what says where a word belongs.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Plugin } from 'vite'

const SOURCE = fileURLToPath(new URL('../src', import.meta.url))
/** Where a program begins, and the words of the API that any page may show. */
const ROOTS = ['main.tsx', 'words.ts']
const WANTED = /^virtual:words\/(\w+)\/(first|rest)$/

function file(from: string, name: string): string | undefined {
  const path = join(dirname(from), name)
  return [path, `${path}.ts`, `${path}.tsx`].find((one) => /\.tsx?$/.test(one) && existsSync(one))
}

/** Sources that the first pages may need, without those that are named late. */
export function firstFiles(): Set<string> {
  const seen = new Set<string>()
  const todo = ROOTS.map((name) => join(SOURCE, name))
  for (let path = todo.pop(); path; path = todo.pop()) {
    if (seen.has(path) || path.startsWith(join(SOURCE, 'locales'))) continue
    seen.add(path)
    const text = readFileSync(path, 'utf8').replace(/late\(\(\) => import\('[^']+'\)\)/g, '')
    for (const found of text.matchAll(/(?:from|import)\s*\(?\s*'(\.[^']+)'/g)) {
      const next = file(path, found[1] as string)
      if (next) todo.push(next)
    }
  }
  return seen
}

/** Texts that go through the catalogue in some files. */
export function wordsIn(files: Iterable<string>): Set<string> {
  const keys = new Set<string>()
  for (const path of files) {
    for (const found of readFileSync(path, 'utf8').matchAll(/\b[tm]\(\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")/g)) {
      keys.add((found[1] ?? found[2] ?? '').replace(/\\(.)/g, '$1'))
    }
  }
  return keys
}

export const baseOf = (key: string): string => key.replace(/_(one|many|other)$/, '')

/** A catalogue as it stands in its file: one object of texts, and nothing else. */
function catalogue(language: string): Record<string, string> {
  const text = readFileSync(join(SOURCE, 'locales', `${language}.ts`), 'utf8')
  const object = text.slice(text.indexOf('{', text.indexOf('=')))
  return new Function(`return ${object}`)() as Record<string, string>
}

export function cut(language: string, part: string): Record<string, string> {
  const first = wordsIn(firstFiles())
  return Object.fromEntries(Object.entries(catalogue(language)).filter(([key]) => first.has(baseOf(key)) === (part === 'first')))
}

export function words(): Plugin {
  return {
    name: 'isthmus-words',
    resolveId: (id) => (WANTED.test(id) ? `\0${id}` : undefined),
    load(id) {
      const [, language, part] = WANTED.exec(id.replace('\0', '')) ?? []
      if (!language || !part) return undefined
      for (const name of readdirSync(SOURCE, { recursive: true }) as string[]) if (/\.tsx?$/.test(name)) this.addWatchFile(join(SOURCE, name))
      return `export default ${JSON.stringify(cut(language, part))}`
    },
  }
}
