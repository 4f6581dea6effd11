"""The words of reports in the languages of the screens, and how each writes numbers."""

from __future__ import annotations

from typing import Final

LANGUAGES: Final = ("en", "fr", "de")

_WORDS: Final[dict[str, tuple[str, str, str]]] = {
    "title": ("Shift report", "Rapport d’équipe", "Schichtbericht"),
    "running": ("still running, as of {time}", "en cours, état à {time}", "läuft noch, Stand {time}"),
    "crew": ("crew {crew}", "équipe {crew}", "Mannschaft {crew}"),
    "day": ("Day", "Jour", "Tag"),
    "site": ("whole site", "tout le site", "ganzer Standort"),
    "oee": ("OEE", "TRS", "OEE"),
    "availability": ("Availability", "Disponibilité", "Verfügbarkeit"),
    "performance": ("Performance", "Performance", "Leistung"),
    "quality": ("Quality", "Qualité", "Qualität"),
    "good": ("Good", "Bonnes", "Gut"),
    "reject": ("Scrap", "Rebut", "Ausschuss"),
    "rework": ("Rework", "Retouches", "Nacharbeit"),
    "stops": ("Stops", "Arrêts", "Stillstände"),
    "down": ("Down", "Arrêt", "Stillstand"),
    "run": ("Running", "Marche", "Betrieb"),
    "planned_time": ("Planned", "Prévu", "Geplant"),
    "unknown_time": ("Unknown", "Inconnu", "Unbekannt"),
    "unknown_note": (
        "For {time} nobody knows what machines did. This time is a loss of its own and is not averaged away.",
        "Pendant {time}, l’état des machines est inconnu. Ce temps compte comme une perte à part, sans moyenne.",
        "Für {time} ist nicht bekannt, was Maschinen taten. Diese Zeit zählt als eigener Verlust und wird nicht weggemittelt.",
    ),
    "unrated_note": (
        "{time} of running time is not rated: no ideal rate, or nothing counts it. Performance and OEE leave it out.",
        "{time} de marche sans évaluation : pas de cadence idéale, ou rien ne compte. La performance et le TRS n’en tiennent pas compte.",
        "{time} Laufzeit sind nicht bewertet: keine Idealrate, oder nichts zählt. Leistung und OEE lassen sie aus.",
    ),
    "no_figure": ("not known: {why}", "inconnu : {why}", "nicht bekannt: {why}"),
    "pieces_by_hour": (
        "Good pieces by hour, the mark is the target",
        "Pièces bonnes par heure, le repère est l’objectif",
        "Gute Stücke je Stunde, die Marke ist das Ziel",
    ),
    "states": ("What machines did", "Ce que les machines ont fait", "Was Maschinen taten"),
    "losses": ("Where time went", "Où le temps est passé", "Wohin die Zeit ging"),
    "machines": ("Machines", "Machines", "Maschinen"),
    "machine": ("Machine", "Machine", "Maschine"),
    "orders": ("What was made", "Ce qui a été produit", "Was hergestellt wurde"),
    "order": ("Order", "Ordre", "Auftrag"),
    "product": ("Product", "Produit", "Produkt"),
    "longest": ("Longest stops", "Arrêts les plus longs", "Längste Stillstände"),
    "uncoded": (
        "Stops without a reason so far: {count}",
        "Arrêts encore sans cause : {count}",
        "Stillstände noch ohne Grund: {count}",
    ),
    "state": ("State", "État", "Zustand"),
    "reason": ("Reason", "Cause", "Grund"),
    "no_reason": ("no reason yet", "sans cause", "noch kein Grund"),
    "minor-stop": ("Minor stops", "Micro-arrêts", "Kurzstillstände"),
    "time": ("Time", "Durée", "Dauer"),
    "count": ("Count", "Nombre", "Anzahl"),
    "cost": ("Cost", "Coût", "Kosten"),
    "from": ("From", "Début", "Beginn"),
    "to": ("To", "Fin", "Ende"),
    "lasts": ("lasts", "en cours", "dauert an"),
    "alarms": ("Alarms", "Alarmes", "Alarme"),
    "alarm_line": (
        "{raised} raised, {unacknowledged} not acknowledged",
        "{raised} apparues, {unacknowledged} non acquittées",
        "{raised} ausgelöst, {unacknowledged} nicht quittiert",
    ),
    "log": ("Log", "Journal", "Schichtbuch"),
    "open": ("To be seen to", "À traiter", "Zu erledigen"),
    "nothing_written": ("Nothing was written.", "Rien n’a été noté.", "Nichts wurde eingetragen."),
    "none": ("None.", "Aucun.", "Keine."),
    "changed": ("changed", "modifié", "geändert"),
    "closed": ("done: {text} ({name})", "fait : {text} ({name})", "erledigt: {text} ({name})"),
    "handover": ("Handed over", "Passation faite", "Übergeben"),
    "takeover": ("Taken over", "Reprise faite", "Übernommen"),
    "signature": ("Name and signature", "Nom et signature", "Name und Unterschrift"),
    "page": ("Page {n} of {all}", "Page {n} sur {all}", "Seite {n} von {all}"),
    "made": ("made {time}", "établi le {time}", "erstellt {time}"),
    "zone": ("times of {zone}", "heures de {zone}", "Zeiten in {zone}"),
    "more": ("and {count} more", "et {count} de plus", "und {count} weitere"),
    "class.running": ("Running", "Marche", "Betrieb"),
    "class.idle": ("Idle", "Attente", "Bereit"),
    "class.stopped": ("Stopped", "Arrêt", "Gestoppt"),
    "class.starved": ("Starved", "Manque en amont", "Zulauf fehlt"),
    "class.blocked": ("Blocked", "Saturation en aval", "Ablauf gestaut"),
    "class.setup": ("Set-up", "Réglage", "Rüsten"),
    "class.planned": ("Planned stop", "Arrêt prévu", "Geplant"),
    "class.unknown": ("Unknown", "Inconnu", "Unbekannt"),
    "class.off": ("No shift", "Hors équipe", "Keine Schicht"),
    "kind.note": ("Note", "Note", "Notiz"),
    "kind.safety": ("Safety", "Sécurité", "Sicherheit"),
    "kind.quality": ("Quality", "Qualité", "Qualität"),
    "kind.machine": ("Machine", "Machine", "Maschine"),
    "kind.material": ("Material", "Matière", "Material"),
    "kind.people": ("People", "Personnel", "Personal"),
    "kind.handover": ("Handed over", "Passation", "Übergabe"),
    "kind.takeover": ("Taken over", "Reprise", "Übernahme"),
    "priority.critical": ("Critical", "Critique", "Kritisch"),
    "priority.high": ("High", "Haute", "Hoch"),
    "priority.medium": ("Medium", "Moyenne", "Mittel"),
    "priority.low": ("Low", "Basse", "Niedrig"),
}
_NUMBERS: Final = {"en": (",", "."), "fr": ("\xa0", ","), "de": (".", ",")}


class Words:
    """One language."""

    def __init__(self, language: str) -> None:
        self.language = language if language in LANGUAGES else "en"
        self._at = LANGUAGES.index(self.language)

    def __call__(self, key: str, **values: object) -> str:
        """A text, filled in; what has none is shown as it is."""
        known = _WORDS.get(key)
        return (known[self._at] if known else key.rpartition(".")[2]).format(**values)

    def number(self, value: float | None, decimals: int = 0) -> str:
        """As people write it; a dash where there is none."""
        if value is None:
            return "–"
        group, point = _NUMBERS[self.language]
        return f"{value:,.{decimals}f}".translate({ord(","): group, ord("."): point})

    def percent(self, ratio: float | None) -> str:
        """A ratio, to a tenth."""
        return "–" if ratio is None else f"{self.number(100 * ratio, 1)}\xa0%"

    def span(self, ns: float) -> str:
        """A time as hours and minutes, or minutes and seconds."""
        seconds = round(ns / 1e9)
        if seconds >= 3600:
            return f"{seconds // 3600}\xa0h\xa0{seconds % 3600 // 60:02d}\xa0min"
        return f"{seconds // 60}\xa0min\xa0{seconds % 60:02d}\xa0s" if seconds >= 60 else f"{seconds}\xa0s"
