// A picture where the browser may show one; else one or two letters on a calm tint. A plain function: there are many of them.
import { type FunctionalComponent, h } from 'vue'
import { faceOf } from '../chat/face'
import { hueOf, lettersOf } from '../chat/pinyin'
import { conversations, profiles } from '../session/state'

interface Props {
  /** An account, or a conversation. */
  id: string
  name: string
  size?: 's' | 'xs' | 'xl'
  online?: boolean
}

const Avatar: FunctionalComponent<Props> = ({ id, name, size, online }) => {
  const face = faceOf(profiles.get(id)?.avatar ?? conversations.get(id)?.head.avatar ?? '')
  const letters = face?.text ?? lettersOf(name)
  const shown = face?.image ? h('img', { src: face.image, alt: '' }) : size === 'xs' && !face ? [...letters][0] : letters
  return h('span', { class: ['avatar', size, { dotted: online, face: face?.text }], style: { '--h': hueOf(id) }, 'aria-hidden': 'true' }, online ? [shown, h('i')] : [shown])
}
Avatar.props = ['id', 'name', 'size', 'online']
export default Avatar
