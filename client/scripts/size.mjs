// What the package adds to a page: bundled and minified by Vite, gzipped. Ends with 1 where it is more than agreed.

import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build } from 'vite'

const LIMITS = { entry: 6 * 1024, all: 14 * 1024 } // bytes

/** The chunks that a page gets which imports all of these modules of dist, by file name. */
async function bundle(modules) {
  const id = '\0page'
  const { output } = await build({
    configFile: false,
    logLevel: 'error',
    plugins: [{
      name: 'page',
      resolveId: (name) => (name === 'page' ? id : undefined),
      load: (name) => (name === id ? modules.map((file) => `export * from ${JSON.stringify(file)}`).join('\n') : undefined),
    }],
    build: {
      write: false,
      minify: true,
      rolldownOptions: {
        input: 'page',
        external: [/^react/, /^@tanstack\//],
        preserveEntrySignatures: 'strict',
        output: { format: 'es' },
      },
    },
  })
  return output
}

const size = ({ code }) => gzipSync(code, { level: 9 }).length
const sum = (chunks) => chunks.reduce((total, chunk) => total + size(chunk), 0)

/** What is loaded before a line runs: the entry and what it imports, not what it may import later. */
function atOnce(chunks) {
  const byName = new Map(chunks.map((chunk) => [chunk.fileName, chunk]))
  const found = new Set()
  const visit = (chunk) => {
    if (chunk === undefined || found.has(chunk)) return
    found.add(chunk)
    for (const name of chunk.imports) visit(byName.get(name))
  }
  visit(chunks.find(({ isEntry }) => isEntry))
  return [...found]
}

const dist = (name) => fileURLToPath(new URL(`../dist/${name}index.js`, import.meta.url))
if (!existsSync(dist(''))) throw new Error('there is no dist: run `npm run build` first')

const core = await bundle([dist('')])
const all = await bundle(['', 'react/', 'tanstack/'].map(dist).filter((file) => existsSync(file)))
const rows = [
  ['entry', sum(atOnce(core)), LIMITS.entry],
  ...core.filter(({ isDynamicEntry }) => isDynamicEntry).map((chunk) => [`  later: ${chunk.name}`, size(chunk)]),
  ['all', sum(all), LIMITS.all],
]
for (const [name, bytes, limit] of rows) {
  console.log(`${name.padEnd(20)} ${String(bytes).padStart(6)} B${limit === undefined ? '' : ` of at most ${limit}`}`)
  if (bytes > limit) process.exitCode = 1
}
