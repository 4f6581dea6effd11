import { useEffect, useRef, useState } from 'react'
import { Button, Segmented } from '../components/ui'
import { t } from '../i18n'
import { store } from '../live/client'
import { clockTime, dayName, preciseTime } from '../model/time'
import { SPEEDS, type Speed, type TrendAction, type TrendView } from './view'

const TURN_MS = 100

/** Time runs through stored history: play and pause, how fast, and where. The place and the speed stand in the address. */
export function Playback({ view, dispatch }: { view: TrendView & { play: number }; dispatch: (action: TrendAction) => void }) {
  const [playing, setPlaying] = useState(false)
  const latest = useRef(view)
  latest.current = view
  const seek = (at: number): void => dispatch({ do: 'play', at, now: store.now() })

  useEffect(() => {
    if (!playing) return
    let before = performance.now()
    const timer = setInterval(() => {
      const passed = performance.now() - before
      before += passed
      const now = store.now()
      const at = latest.current.play + passed * latest.current.speed
      dispatch({ do: 'play', at, now })
      if (at >= now) setPlaying(false) // what comes now is live
    }, TURN_MS)
    return () => clearInterval(timer)
  }, [playing, dispatch])

  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      const target = event.target as HTMLElement
      if (event.key !== ' ' || event.ctrlKey || event.metaKey || /^(BUTTON|TEXTAREA|SELECT|A)$/.test(target.tagName) || (target instanceof HTMLInputElement && target.type !== 'range')) return
      event.preventDefault()
      setPlaying((on) => !on)
    }
    window.addEventListener('keydown', onKey)
    return () => window.removeEventListener('keydown', onKey)
  }, [])

  const said = `${dayName(view.play)} ${view.speed === 1 ? preciseTime(view.play).slice(0, -2) : clockTime(view.play)}`
  return (
    <div className="playback" role="group" aria-label={t('Playback')}>
      <Button icon="toStart" label={t('To the beginning of the picture')} onPress={() => seek(view.from)} />
      <Button icon={playing ? 'pause' : 'play'} onPress={() => setPlaying(!playing)}>
        {playing ? t('Pause') : t('Play')}
      </Button>
      <Segmented
        label={t('Speed')}
        value={String(view.speed)}
        options={SPEEDS.map((speed) => [String(speed), `${speed}×`] as const)}
        onChange={(speed) => dispatch({ do: 'speed', speed: Number(speed) as Speed })}
      />
      <input
        type="range"
        aria-label={t('Time of the playback')}
        aria-valuetext={said}
        min={view.from}
        max={view.to}
        step={(view.to - view.from) / 1000}
        value={view.play}
        onChange={(event) => seek(Number(event.target.value))}
      />
      <output>{said}</output>
      <Button kind="quiet" icon="close" label={t('End the playback')} onPress={() => dispatch({ do: 'play', at: undefined, now: store.now() })} />
    </div>
  )
}
