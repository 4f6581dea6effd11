import { tagOfMachine } from '../../model/tree'

/** A tag with its machine, by path alone. */
export const pathName = (path: string): string => tagOfMachine({ asset: path.split('/').slice(0, -1).join('/'), name: path.split('/').at(-1) ?? path })
