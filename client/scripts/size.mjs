// What the package adds to a page: bundled and minified by Vite's bundler, gzipped. Ends with 1 where it is more than
// agreed.

import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { gzipSync } from 'node:zlib'

const LIMITS = { entry: 6 * 1024, core: 14 * 1024, all: 17 * 1024 } // bytes

// Not by Vite itself, which puts code of its own around dynamic imports.
const bundler = createRequire(import.meta.resolve('vite')).resolve('rolldown')
const { rolldown } = await import(pathToFileURL(bundler).href)

/** The chunks that a page gets which imports all of these modules. */
async function bundle(modules, codeSplitting = true) {
  const page = '\0page'
  const build = await rolldown({
    input: page,
    external: [/^react/, /^@tanstack\//],
    plugins: [{
      name: 'page',
      resolveId: (name) => (name === page ? page : undefined),
      load: (name) => (name === page ? modules.map((file) => `export * from '${file}'`).join('\n') : undefined),
    }],
    onLog: (level, log, report) => log.code === 'MODULE_LEVEL_DIRECTIVE' || report(level, log), // 'use client'
  })
  const { output } = await build.generate({ format: 'es', minify: true, comments: false, topLevelVar: true, codeSplitting }) // as Vite has it
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

const everything = ['', 'react/', 'tanstack/'].map(dist)
const core = await bundle([dist('')])
const rows = [
  ['entry', sum(atOnce(core)), LIMITS.entry],
  ...core.filter(({ isDynamicEntry }) => isDynamicEntry).map((chunk) => [`  later: ${chunk.name}`, size(chunk)]),
  ['core, with those', sum(core), LIMITS.core],
  ['all, in one file', sum(await bundle(everything, false)), LIMITS.all],
  ...(await bundle(everything)).map((chunk) => [`  in chunks: ${chunk.name}`, size(chunk)]),
]
for (const [name, bytes, limit] of rows) {
  console.log(`${name.padEnd(24)} ${String(bytes).padStart(6)} B${limit === undefined ? '' : ` of at most ${limit}`}`)
  if (bytes > limit) process.exitCode = 1
}
