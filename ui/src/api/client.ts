import type { Problem } from './types'

/** A refused or failed request, with the server's own words. Status 0: the server was not reached. */
export class ApiError extends Error {
  readonly problem: Problem
  constructor(problem: Problem) {
    super(problem.detail || problem.title)
    this.name = 'ApiError'
    this.problem = problem
  }
  get status(): number {
    return this.problem.status
  }
  get code(): string {
    return this.problem.code ?? ''
  }
}

type Query = Record<string, string | number | readonly string[] | undefined>

export function url(path: string, query: Query = {}): string {
  const search = new URLSearchParams()
  for (const [key, value] of Object.entries(query)) {
    if (value === undefined) continue
    if (Array.isArray(value)) for (const item of value) search.append(key, item)
    else search.append(key, String(value))
  }
  const text = search.toString()
  return `/api/v1/${path}${text ? `?${text}` : ''}`
}

let onSignedOut: () => void = () => undefined
/** What to do when the server no longer knows this session. */
export function whenSignedOut(callback: () => void): void {
  onSignedOut = callback
}

async function problemOf(response: Response): Promise<Problem> {
  try {
    const body = (await response.json()) as Partial<Problem>
    return { ...body, title: body.title ?? response.statusText, status: response.status }
  } catch {
    return { title: response.statusText || 'Unreadable answer', status: response.status }
  }
}

async function send<T>(method: string, target: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  const headers: Record<string, string> = { Accept: 'application/json' }
  if (method !== 'GET') headers['X-Isthmus'] = '1'
  const file = body instanceof Blob
  if (body !== undefined) headers['Content-Type'] = file ? 'text/csv' : 'application/json'
  let response: Response
  try {
    response = await fetch(target, {
      method,
      headers,
      credentials: 'same-origin',
      ...(body === undefined ? {} : { body: file ? body : JSON.stringify(body) }),
      ...(signal ? { signal } : {}),
    })
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error
    throw new ApiError({ title: 'No connection to Isthmus', status: 0, code: 'unreachable' })
  }
  if (!response.ok) {
    const problem = await problemOf(response)
    if (response.status === 401 && !target.startsWith('/api/v1/session')) onSignedOut()
    throw new ApiError(problem)
  }
  if (response.status === 204) return undefined as T
  const text = await response.text()
  return (text ? JSON.parse(text) : undefined) as T
}

export const get = <T>(path: string, query?: Query, signal?: AbortSignal): Promise<T> =>
  send<T>('GET', url(path, query), undefined, signal)
export const post = <T>(path: string, body?: unknown): Promise<T> => send<T>('POST', url(path), body ?? {})
/** A file as it is, byte for byte. */
export const postFile = <T>(path: string, file: Blob): Promise<T> => send<T>('POST', url(path), file)
export const put = <T>(path: string, body: unknown): Promise<T> => send<T>('PUT', url(path), body)
export const patch = <T>(path: string, body: unknown): Promise<T> => send<T>('PATCH', url(path), body)
export const remove = <T>(path: string): Promise<T> => send<T>('DELETE', url(path))
