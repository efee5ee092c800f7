// Says whether what is embedded in the program is what the sources make: builds them elsewhere and compares.

import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'vite'

const committed = fileURLToPath(new URL('../../cmd/rowfeed/demo/dist', import.meta.url))
const fresh = mkdtempSync(join(tmpdir(), 'rowfeed-demo-'))

try {
  await build({ configFile: fileURLToPath(new URL('vite.config.ts', import.meta.url)), logLevel: 'error',
    build: { outDir: fresh } })
  const [want, have] = [fresh, committed].map((folder) => readdirSync(folder).sort())
  const differs = [...new Set([...want, ...have])].filter((name) => !want.includes(name) || !have.includes(name)
    || !readFileSync(join(fresh, name)).equals(readFileSync(join(committed, name))))
  if (differs.length) {
    console.error(`cmd/rowfeed/demo/dist is not what client/demo makes: ${differs.join(', ')}.`
      + ' Run `npm run demo:build` in client/ and commit what it writes.')
    process.exitCode = 1
  }
} finally {
  rmSync(fresh, { recursive: true, force: true })
}
