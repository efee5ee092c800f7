// Pages of client/test/pages, built by Vite from source, in React's development build: StrictMode mounts twice there.

import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { repository } from './demo.mjs';

const TYPES = { '.html': 'text/html', '.js': 'text/javascript' };

// buildPages makes them in a folder of its own.
export async function buildPages() {
  const root = join(repository, 'client/test/pages');
  const { build } = await import(pathToFileURL(join(repository, 'client/node_modules/vite/dist/node/index.js')));
  const folder = mkdtempSync(join(tmpdir(), 'rowfeed-pages-'));
  await build({ root, configFile: false, logLevel: 'error', base: '/pages/', mode: 'development',
    define: { 'process.env.NODE_ENV': '"development"' },
    build: { outDir: folder, emptyOutDir: true, minify: false,
      rolldownOptions: { input: ['strict', 'analysis'].map((name) => join(root, `${name}.html`)) } } });
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

// openPage shows one of them as if address, a bridge's own, served it.
export async function openPage(page, { folder }, address, name) {
  await page.route('**/pages/**', (route) => {
    const file = join(folder, new URL(route.request().url()).pathname.replace('/pages/', ''));
    if (!existsSync(file)) return route.fulfill({ status: 404 });
    return route.fulfill({ body: readFileSync(file), contentType: TYPES[extname(file)] });
  });
  await page.goto(`http://${address}/pages/${name}.html`);
}
