// Holds the built screens against the budget: at most 180 KB of compressed script for the first page shown.
import { readFileSync } from 'node:fs'
import { brotliCompressSync, gzipSync } from 'node:zlib'

const BUDGET_KB = 180
const folder = new URL('../../src/isthmus/web/static/', import.meta.url)
const read = (name) => readFileSync(new URL(name, folder))

/** Scripts that a file loads without being asked to: static imports, followed to their end. */
function closure(names, seen = new Set()) {
  for (const name of names) {
    if (seen.has(name)) continue
    seen.add(name)
    const text = read(name).toString()
    const found = [...text.matchAll(/(?:import|from)\s*["']\.\/([\w.-]+\.js)["']/g)].map((match) => `assets/${match[1]}`)
    closure(found, seen)
  }
  return seen
}

const html = read('index.html').toString()
const entry = [...html.matchAll(/(?:src|href)="\/([^"]+\.js)"/g)].map((match) => match[1])
const main = entry.find((name) => name.startsWith('assets/index'))
const pages = [...read(main).toString().matchAll(/import\(["'`]\.\/([\w.-]+\.js)["'`]\)/g)].map((match) => `assets/${match[1]}`)
const kb = (names, pack) => [...names].reduce((sum, name) => sum + pack(read(name)).length, 0) / 1024
const first = closure(entry)
console.log(`shell: ${kb(first, gzipSync).toFixed(1)} KB gzip, ${kb(first, brotliCompressSync).toFixed(1)} KB brotli, ${first.size} files`)
// Gzip is what a browser without TLS takes. In another language the first part of its catalogue comes along; the largest counts.
const loader = [...first].map((name) => read(name).toString()).join()
const catalogues = [...loader.matchAll(/import\(["'`]\.\/((?:fr|de)-first-[\w.-]+\.js)["'`]\)/g)].map((match) => `assets/${match[1]}`)
const words = Math.max(0, ...catalogues.map((name) => brotliCompressSync(read(name)).length / 1024))
let worst = 0
for (const page of new Set(pages)) {
  if (!/^assets\/(overview|tags|trends|asset|connections|signin|more)-/.test(page)) continue
  const all = closure([page], new Set(first))
  const [gzip, brotli] = [kb(all, gzipSync), kb(all, brotliCompressSync) + words]
  worst = Math.max(worst, gzip, brotli)
  console.log(`${page.slice(7).padEnd(28)} ${gzip.toFixed(1)} KB gzip, ${brotli.toFixed(1)} KB brotli with the shell and the largest catalogue`)
}
if (worst > BUDGET_KB) {
  console.error(`over the budget of ${BUDGET_KB} KB`)
  process.exit(1)
}
