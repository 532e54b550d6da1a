import { ref } from 'vue'

/** Counts minutes, for what is dated by how long ago it was. */
export const minute = ref(0)
setInterval(() => minute.value++, 60_000)
/** Counts seconds. */
export const second = ref(0)
setInterval(() => second.value++, 1_000)
