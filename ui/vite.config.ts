import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'
import react from '@vitejs/plugin-react'
import { defineConfig, type Plugin } from 'vite'
import { words } from './scripts/words'

const backend = process.env['ISTHMUS_URL'] ?? 'http://127.0.0.1:8420'

/** Writes .br and .gz beside what compresses, so that the server packs nothing while it answers. */
function packed(): Plugin {
  return {
    name: 'isthmus-packed',
    apply: 'build',
    // Only here are the files final: Vite still rewrites chunks in the step before.
    async writeBundle(options, bundle) {
      const names = [...Object.keys(bundle), 'theme.js', 'favicon.svg'].filter((name) => /\.(js|css|html|svg)$/.test(name))
      for (const name of new Set(names)) {
        const target = join(options.dir as string, name)
        const source = await readFile(target)
        if (source.length < 1000) continue
        await writeFile(`${target}.br`, brotliCompressSync(source, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }))
        await writeFile(`${target}.gz`, gzipSync(source, { level: 9 }))
      }
    },
  }
}

export default defineConfig({
  plugins: [react(), words(), packed()],
  build: {
    outDir: '../src/isthmus/web/static',
    emptyOutDir: true,
    target: 'es2022',
    assetsInlineLimit: 0, // the content security policy allows no data: URLs for fonts and scripts
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 400,
    rolldownOptions: {
      output: {
        chunkFileNames: ({ facadeModuleId, name }) => `assets/${/virtual:words\/(\w+)\/(\w+)/.exec(facadeModuleId ?? '')?.slice(1).join('-') ?? name}-[hash].js`,
        // What every page needs is one file: in many small ones it packs worse.
        codeSplitting: { groups: [{ name: 'shell', test: /ui\/src\/(api\/(client|queries)|live\/|components\/(ui|icons)|model\/(time|format|scale|tree|quality|connection)|i18n|theme)/ }] },
      },
    },
  },
  server: {
    host: '127.0.0.1',
    proxy: { '/api': { target: backend, ws: true } },
  },
})
