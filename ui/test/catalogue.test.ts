import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'
import { cut, firstFiles, wordsIn } from '../scripts/words'
import { de as shellDe } from '../src/locales/de'
import { en as shellEn } from '../src/locales/en'
import { floor } from '../src/locales/floor'
import { fr as shellFr } from '../src/locales/fr'

const SOURCE = fileURLToPath(new URL('../src/', import.meta.url))
const SPOKEN = /\p{L}{2,}/u
/** Names, units and keys that are the same everywhere. */
const SAME = /^(Isthmus|Ctrl K|Space|ms|s|plc-line1|packaging\/line1|read|SL|hr 0 .*)$/s
const ATTRIBUTES = new Set(['aria-label', 'title', 'placeholder', 'alt', 'label', 'name', 'sub', 'text'])

interface Found {
  keys: Set<string>
  bare: string[]
}

/** Texts that go through the catalogue, and those in pages that do not. */
function scan(): Found {
  const found: Found = { keys: new Set(), bare: [] }
  for (const name of readdirSync(SOURCE, { recursive: true }) as string[]) {
    if (!/\.tsx?$/.test(name) || name.startsWith('locales') || name === 'api/schema.ts') continue
    const file = ts.createSourceFile(name, readFileSync(SOURCE + name, 'utf8'), ts.ScriptTarget.Latest, true, name.endsWith('x') ? ts.ScriptKind.TSX : ts.ScriptKind.TS)
    const bare = (node: ts.Node, text: string): void => {
      if (SPOKEN.test(text) && !SAME.test(text.trim())) found.bare.push(`${name}:${file.getLineAndCharacterOfPosition(node.getStart()).line + 1}: ${text.trim()}`)
    }
    const shown = (node: ts.Node): void => {
      if (ts.isStringLiteral(node) || ts.isNoSubstitutionTemplateLiteral(node)) bare(node, node.text)
      else if (ts.isTemplateExpression(node)) for (const part of [node.head, ...node.templateSpans.map((span) => span.literal)]) bare(node, part.text)
      else if (ts.isConditionalExpression(node)) [node.whenTrue, node.whenFalse].forEach(shown)
      else if (ts.isParenthesizedExpression(node)) shown(node.expression)
      else if (ts.isBinaryExpression(node) && /^(\?\?|\|\||&&|\+)$/.test(node.operatorToken.getText())) [node.left, node.right].forEach(shown)
    }
    const visit = (node: ts.Node): void => {
      if (ts.isCallExpression(node) && ts.isIdentifier(node.expression) && /^[tm]$/.test(node.expression.text)) {
        const first = node.arguments[0]
        if (first && ts.isStringLiteralLike(first)) found.keys.add(first.text)
      }
      if (ts.isJsxText(node)) bare(node, node.text)
      if (ts.isJsxExpression(node) && node.expression && (ts.isJsxElement(node.parent) || ts.isJsxFragment(node.parent))) shown(node.expression)
      if (ts.isJsxAttribute(node) && ATTRIBUTES.has(node.name.getText()) && node.initializer) {
        const own = !/^(input|select|meta|Field|TextField|ChoiceField|Icon|LiveState)$/.test(node.parent.parent.tagName.getText()) || node.name.getText() !== 'name'
        if (own) shown(ts.isJsxExpression(node.initializer) ? (node.initializer.expression ?? node) : node.initializer)
      }
      ts.forEachChild(node, visit)
    }
    visit(file)
  }
  return found
}

/** The catalogues of the shell with those that come with a part. */
const PARTS = [floor]
const whole = (language: 'en' | 'fr' | 'de', shell: Record<string, string>): Record<string, string> => Object.assign({}, shell, ...PARTS.map((part) => part[language])) as Record<string, string>
const [en, fr, de] = [whole('en', shellEn), whole('fr', shellFr), whole('de', shellDe)]
const { keys, bare } = scan()
const base = (key: string): string => key.replace(/_(one|many|other)$/, '')
const holes = (text: string): string[] => [...text.matchAll(/\{\{\w+\}\}/g)].map((hole) => hole[0]).sort()

describe('the cut of a catalogue', () => {
  const files = readdirSync(SOURCE, { recursive: true }) as string[]
  const all = files.filter((name) => /\.tsx?$/.test(name) && !name.startsWith('locales') && name !== 'api/schema.ts').map((name) => SOURCE + name)
  it('sees the same texts as the compiler', () => expect([...wordsIn(all)].sort()).toEqual([...keys].sort()))
  it('leaves out what late pages alone need, and loses nothing', () => {
    const [first, rest] = [cut('fr', 'first'), cut('fr', 'rest')]
    expect({ ...first, ...rest }).toEqual(shellFr)
    expect(Object.keys(first)).toContain('Overview')
    expect(Object.keys(rest)).toContain('What edges noted')
    expect(Object.keys(first).length).toBeLessThan(Object.keys(shellFr).length * 0.6)
  })
  it('knows pages that are late, and the first ones', () => {
    const first = [...firstFiles()].map((path) => path.slice(SOURCE.length))
    expect(first).toEqual(expect.arrayContaining(['main.tsx', 'words.ts', 'pages/overview.tsx', 'alarms/bar.tsx']))
    expect(first.filter((name) => /pages\/(alarms|control|admin)\.tsx/.test(name))).toEqual([])
  })
})

describe('the catalogue', () => {
  it('holds no page with a bare text', () => expect(bare).toEqual([]))
  it('finds texts at all', () => expect(keys.size).toBeGreaterThan(250))
  for (const [language, catalogue] of Object.entries({ fr, de })) {
    it(`has every text in ${language}, whole`, () => {
      const has = new Set(Object.keys(catalogue).map(base))
      expect([...keys].filter((key) => !has.has(key))).toEqual([])
      expect(Object.entries(catalogue).filter(([, text]) => text.trim() === '')).toEqual([])
    })
    it(`keeps what is filled in, in ${language}`, () => {
      // "one" may say the number as a word
      const odd = Object.entries(catalogue).filter(([key, text]) => !key.endsWith('_one') && holes(text).join() !== holes(base(key)).join())
      expect(odd).toEqual([])
    })
    it(`has both numbers of what is counted, in ${language}`, () => {
      const counted = [...keys].filter((key) => key.includes('{{count}}'))
      expect(counted.filter((key) => !(`${key}_one` in catalogue && `${key}_other` in catalogue))).toEqual([])
    })
  }
  it('has nothing that no page uses', () => expect([...Object.keys(en), ...Object.keys(fr), ...Object.keys(de)].filter((key) => !keys.has(base(key)))).toEqual([]))
  it('has both numbers of what is counted, in English', () => {
    const counted = [...keys].filter((key) => key.includes('{{count}}'))
    expect(counted.filter((key) => !(`${key}_one` in en && `${key}_other` in en))).toEqual([])
  })
})
