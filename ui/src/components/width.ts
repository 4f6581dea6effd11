import { useEffect, useRef, useState } from 'react'

/** How wide a place is, also when the window changes; 0 until it is known. */
export function useWidth<T extends HTMLElement>(): [React.RefObject<T | null>, number] {
  const place = useRef<T>(null)
  const [width, setWidth] = useState(0)
  useEffect(() => {
    const node = place.current
    if (!node) return
    const watch = new ResizeObserver(([entry]) => setWidth(Math.round(entry?.contentRect.width ?? 0)))
    watch.observe(node)
    return () => watch.disconnect()
  }, [])
  return [place, width]
}
