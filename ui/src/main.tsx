import { QueryClientProvider } from '@tanstack/react-query'
import { RouterProvider } from '@tanstack/react-router'
import { StrictMode, useSyncExternalStore } from 'react'
import { createRoot } from 'react-dom/client'
import '@fontsource-variable/inter/wght.css'
import './styles/tokens.css'
import './styles/base.css'
import './styles/shell.css'
import './styles/parts.css'
import { whenSignedOut } from './api/client'
import { modelChanged, queryClient } from './api/queries'
import { language, setLanguage, whenLanguage, wishedLanguage } from './i18n'
import { beginKiosk } from './kiosk'
import { live } from './live/client'
import { router } from './router'

whenSignedOut(() => {
  live.stop()
  queryClient.setQueryData(['session'], undefined)
  void queryClient.invalidateQueries({ queryKey: ['session'] })
})
live.onModel = modelChanged
beginKiosk()

/** Another language draws everything anew; what is chosen and filtered stands in the address and stays. */
function App() {
  const shown = useSyncExternalStore(whenLanguage, language)
  return (
    <QueryClientProvider client={queryClient}>
      <RouterProvider key={shown} router={router} />
    </QueryClientProvider>
  )
}

void setLanguage(wishedLanguage(), false).finally(() =>
  createRoot(document.getElementById('root') as HTMLElement).render(
    <StrictMode>
      <App />
    </StrictMode>,
  ),
)
