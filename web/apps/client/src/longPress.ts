// A long press opens the menu of what is pressed. Where the browser tells of it by itself (`contextmenu`), it is left
// to it; browsers of iOS do not.
const PRESS_MS = 500
const MOVED_PX = 10

const isSilent = /iP(hone|ad|od)/.test(navigator.userAgent) || (/Mac/.test(navigator.userAgent) && navigator.maxTouchPoints > 1)

export function listenForLongPresses(): void {
  if (!isSilent) return
  let pressed: { timer: ReturnType<typeof setTimeout>; x: number; y: number } | undefined
  let opened = false
  const end = (): void => {
    clearTimeout(pressed?.timer)
    pressed = undefined
  }
  addEventListener('touchstart', ({ touches, target }) => {
    end()
    opened = false
    const touch = touches[0]
    if (touches.length !== 1 || !touch) return
    const { clientX, clientY } = touch
    const timer = setTimeout(() => {
      opened = !target?.dispatchEvent(new MouseEvent('contextmenu', { bubbles: true, cancelable: true, clientX, clientY }))
    }, PRESS_MS)
    pressed = { timer, x: clientX, y: clientY }
  }, { passive: true })
  addEventListener('touchmove', ({ touches: [touch] }) => {
    if (pressed && touch && Math.hypot(touch.clientX - pressed.x, touch.clientY - pressed.y) > MOVED_PX) end()
  }, { passive: true })
  // What opened a menu is no tap.
  addEventListener('touchend', event => (end(), opened && event.preventDefault()), { passive: false })
  addEventListener('touchcancel', end, { passive: true })
}
