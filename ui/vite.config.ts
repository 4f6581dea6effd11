import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

const backend = process.env['ISTHMUS_URL'] ?? 'http://127.0.0.1:8420'

export default defineConfig({
  plugins: [react()],
  build: {
    outDir: '../src/isthmus/web/static',
    emptyOutDir: true,
    target: 'es2022',
    assetsInlineLimit: 0, // the content security policy allows no data: URLs for fonts and scripts
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 400,
  },
  server: {
    host: '127.0.0.1',
    proxy: { '/api': { target: backend, ws: true } },
  },
})
