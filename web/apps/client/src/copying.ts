// Text to the clipboard, also where the browser hides the clipboard because the page came over plain http.
import { t } from './i18n'
import { toast } from './ui'

const done = (): void => toast(t('copied'), undefined, 1_500)

export function copy(text: string): void {
  if (!navigator.clipboard) return copyBySelecting(text)
  navigator.clipboard.writeText(text).then(done, () => copyBySelecting(text))
}

/** The old way, which asks for no secure context. */
function copyBySelecting(text: string): void {
  const before = document.activeElement as HTMLElement | null
  const box = Object.assign(document.createElement('textarea'), { value: text })
  document.body.append(box)
  box.select()
  if (document.execCommand('copy')) done()
  box.remove()
  before?.focus()
}
