// One or two letters on a calm tint. A plain function: there are many of them.
import { type FunctionalComponent, h } from 'vue'
import { hueOf, lettersOf } from '../chat/pinyin'

interface Props {
  id: string
  name: string
  size?: 's' | 'xs' | 'xl'
  online?: boolean
}

const Avatar: FunctionalComponent<Props> = ({ id, name, size, online }) => {
  const letters = lettersOf(name)
  const shown = size === 'xs' ? [...letters][0] : letters
  return h('span', { class: ['avatar', size, { dotted: online }], style: { '--h': hueOf(id) }, 'aria-hidden': 'true' }, online ? [shown, h('i')] : shown)
}
Avatar.props = ['id', 'name', 'size', 'online']
export default Avatar
