import vue from '@vitejs/plugin-vue'
import { defineConfig } from 'vite'

/** Where a server runs, for `npm run dev` and `vite preview`. */
const server = process.env.ANSER_SERVER ?? 'http://127.0.0.1:7700'
const proxy = { '/api': server, '/ws': { target: server.replace('http', 'ws'), ws: true } }

export default defineConfig({
  plugins: [vue()],
  resolve: { conditions: ['source', 'module', 'browser', 'development|production'] },
  define: { __VUE_OPTIONS_API__: 'false', __VUE_PROD_DEVTOOLS__: 'false', __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: 'false' },
  build: { target: 'es2022', assetsInlineLimit: 0, modulePreload: { polyfill: false }, reportCompressedSize: false },
  server: { proxy },
  preview: { proxy },
})
