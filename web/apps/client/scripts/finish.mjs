// After the build: the service worker, with the list of what it keeps; compressed copies of everything;
// and the sizes, which have budgets.
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'
import { createHash } from 'node:crypto'

const dist = join(dirname(fileURLToPath(import.meta.url)), '../dist')
const files = folder => readdirSync(folder, { withFileTypes: true }).filter(it => !it.name.startsWith('.')).flatMap(it => (it.isDirectory() ? files(join(folder, it.name)) : [join(folder, it.name)]))
const all = files(dist).filter(it => !/\.(gz|br)$/.test(it))
const names = all.map(it => `/${relative(dist, it)}`).filter(it => it !== '/sw.js' && it !== '/index.html')
const version = createHash('sha256').update(readFileSync(join(dist, 'index.html'))).digest('hex').slice(0, 12)
if (!process.argv.includes('--sizes')) {
const worker = readFileSync(join(dirname(fileURLToPath(import.meta.url)), '../src/sw.js'), 'utf8')
writeFileSync(join(dist, 'sw.js'), worker.replace('__VERSION__', JSON.stringify(version)).replace('__FILES__', JSON.stringify(names)))

for (const file of [...all, join(dist, 'sw.js')]) {
  if (!/\.(js|css|html|svg|webmanifest|json)$/.test(file)) continue
  const bytes = readFileSync(file)
  writeFileSync(`${file}.gz`, gzipSync(bytes, { level: 9 }))
  writeFileSync(`${file}.br`, brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }))
}

}

// The entry: what index.html names, and what those import at once.
const html = readFileSync(join(dist, 'index.html'), 'utf8')
const entry = new Set([...html.matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)].map(it => it[1]))
for (const name of entry) {
  if (!name.endsWith('.js')) continue
  for (const [, other] of readFileSync(join(dist, name), 'utf8').matchAll(/(?:from|import)\s*"\.\/([^"]+\.js)"/g)) entry.add(`/assets/${other}`)
}
const gzip = ending => [...entry].filter(it => it.endsWith(ending)).reduce((sum, it) => sum + statSync(join(dist, `${it}.gz`)).size, 0)
const sizes = { 'js of the chat entry': [gzip('.js'), 150], 'css of the chat entry': [gzip('.css'), 25] }
for (const [what, [bytes, budgetKb]] of Object.entries(sizes)) {
  console.log(`${what}: ${(bytes / 1024).toFixed(1)} KB gzip, budget ${budgetKb} KB`)
  if (bytes > budgetKb * 1024) {
    console.error(`over budget: ${what}`)
    process.exitCode = 1
  }
}
if (/https?:\/\/(?!www\.w3\.org)/.test(html)) {
  console.error('index.html names an outside address')
  process.exitCode = 1
}
