import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    restoreMocks: true,
    projects: [
      { extends: true, test: { name: 'core', include: ['test/**/*.test.ts'] } },
      { extends: true, test: { name: 'react', include: ['test/react/**/*.test.tsx'], environment: 'jsdom' } },
    ],
  },
})
