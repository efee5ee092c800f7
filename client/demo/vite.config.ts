import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vite'

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

// What is built is committed and compared byte for byte, so nothing here may depend on the machine: names without
// hashes, a fixed target, the mode whatever the environment says.
process.env.NODE_ENV = 'production'

export default defineConfig({
  root: here('.'),
  mode: 'production',
  envDir: false,
  resolve: {
    alias: [
      { find: /^rowfeed$/, replacement: here('../src/index.ts') },
      { find: /^rowfeed\/(react|tanstack)$/, replacement: here('../src/$1/index.ts') },
    ],
  },
  build: {
    outDir: here('../../cmd/rowfeed/demo/dist'),
    emptyOutDir: true,
    target: 'es2022',
    assetsDir: '',
    cssCodeSplit: false,
    modulePreload: { polyfill: false },
    rolldownOptions: {
      output: { entryFileNames: 'app.js', assetFileNames: 'app.[ext]', codeSplitting: false },
    },
  },
})
