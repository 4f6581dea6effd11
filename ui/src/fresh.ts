import { ApiError } from './api/client'

export type Asker = () => Promise<boolean>
let ask: Asker | undefined

/** Who asks a person to say again who they are, and tells whether they did. */
export function askBy(asker: Asker): () => void {
  ask = asker
  return () => {
    if (ask === asker) ask = undefined
  }
}

/** Does what changes an account; where the server wants to hear again who one is, it is asked and the deed tried once more. */
export async function freshly<T>(what: () => Promise<T>): Promise<T> {
  try {
    return await what()
  } catch (error) {
    if (!(error instanceof ApiError) || error.code !== 'step_up_needed' || !ask || !(await ask())) throw error
    return what()
  }
}
