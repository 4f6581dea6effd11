import { QueryClientProvider } from '@tanstack/react-query'
import { RouterProvider } from '@tanstack/react-router'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { useTranslation } from 'react-i18next'
import '@fontsource-variable/inter/wght.css'
import './styles/tokens.css'
import './styles/base.css'
import './styles/shell.css'
import './styles/parts.css'
import { whenSignedOut } from './api/client'
import { modelChanged, queryClient } from './api/queries'
import { setLanguage, wishedLanguage } from './i18n'
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
  const { i18n } = useTranslation()
  return (
    <QueryClientProvider client={queryClient}>
      <RouterProvider key={i18n.language} router={router} />
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
