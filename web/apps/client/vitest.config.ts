import { defineConfig } from 'vitest/config'
export default defineConfig({ resolve: { conditions: ['source', 'module', 'node'] }, ssr: { resolve: { conditions: ['source', 'module', 'node'] } }, test: { include: ['test/**/*.test.ts'], testTimeout: 60_000, env: { TZ: 'Asia/Shanghai' } } })
