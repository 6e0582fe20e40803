"""Tables of the words that phones write into dates and times: day periods, months, eras.

In lower case and without a final period, as in CLDR, for the languages that WhatsApp supports. To
add a word, add an entry here and a row in the tests.
"""

from __future__ import annotations

# Before noon, and after it.
AM = (
    *("am", "ص", "صباحًا", "فجرًا", "ق.ظ", "قبل‌ازظهر", "قبل دوپہر", "上午", "凌晨", "清晨", "早上"),
    *("午前", "오전", "새벽", "아침", "ก่อนเที่ยง", "sa", "de", "öö", "πμ", "dop", "fm", "ap", "vm"),
    *("vorm", "morgens", "früh", "in the morning", "de la mañana", "de la madrugada", "da manhã"),
    *("da madrugada", "du matin", "di mattina", "pagi", "pg", "дп", "пр.об", "утра", "ранку"),
    *('לפנה"צ', "לפנה״צ", "पूर्वाह्न", "सुबह", "म.पू", "सकाळी", "পূর্বাহ্ণ", "ভোর", "সকাল", "முற்பகல்", "காலை"),
    *("ఉద", "ఉదయం", "ಪೂರ್ವಾಹ್ನ", "ಬೆಳಗ್ಗೆ", "രാവിലെ", "સવારે", "ਪੂ.ਦੁ", "ਸਵੇਰ", "පෙ.ව"),
    *("ព្រឹក", "ກ່ອນທ່ຽງ", "နံနက်", "ү.ө", "ጥዋት", "asubuhi", "priešpiet", "priekšp"),
    *("претпл", "пре подне", "dimineața", "e paradites", "enne lõunat"),
)
PM = (
    *(
        "pm",
        "م",
        "ظهرًا",
        "عصرًا",
        "مساءً",
        "بعد الظهر",
        "ب.ظ",
        "بعدازظهر",
        "بعد دوپہر",
        "下午",
        "中午",
    ),
    *("晚上", "傍晚", "午後", "오후", "낮", "저녁", "หลังเที่ยง", "ch", "du", "ös", "μμ", "odp", "em"),
    *("ip", "nm", "nachm", "mittags", "abends", "in the afternoon", "in the evening"),
    *("de la tarde", "del mediodía", "da tarde", "de l’après-midi", "du soir", "di pomeriggio"),
    *(
        "di sera",
        "siang",
        "sore",
        "ptg",
        "пп",
        "дня",
        "вечера",
        "вечора",
        'אחה"צ',
        "אחה״צ",
        "अपराह्न",
        "दोपहर",
    ),
    *("शाम", "म.उ", "दुपारी", "संध्याकाळी", "অপরাহ্ণ", "দুপুর", "বিকাল", "সন্ধ্যা", "பிற்பகல்"),
    *("மாலை", "மதியம்", "సాయం", "సాయంత్రం", "మధ్యాహ్నం", "ಅಪರಾಹ್ನ", "ಸಂಜೆ", "ഉച്ചയ്ക്ക്", "വൈകിട്ട്"),
    *("બપોરે", "સાંજે", "ਬਾ.ਦੁ", "ਸ਼ਾਮ", "ප.ව", "ល្ងាច", "ຫຼັງທ່ຽງ", "ညနေ", "ү.х", "ከሰዓት", "mchana"),
    *("popiet", "pēcp", "popold", "pop", "попл", "по подне", "сл.об", "după-amiaza", "seara"),
    *("e pasdites", "pärast lõunat"),
)
# Night: an hour from 6 on is before midnight, an earlier one after it.
NIGHT = (
    *("nachts", "at night", "de la noche", "da noite", "de la nuit", "di notte", "malam", "ночи"),
    *(
        "ночі",
        "ليلاً",
        "منتصف الليل",
        "रात",
        "रात्री",
        "রাত",
        "இரவு",
        "రాత్రి",
        "ರಾತ್ರಿ",
        "രാത്രി",
        "રાત્રે",
        "밤",
        "夜",
    ),
)

# One row a month: its names, in full and abbreviated.
_MONTHS = (
    "january jan januar januari janvier janv enero ene gennaio gen janeiro января янв يناير जनवरी",
    "february feb februar februari février févr febrero febbraio fevereiro fev февраля февр فبراير"
    " फ़रवरी",
    "march mar märz mär maart mrt mars marzo março maret марта мар مارس मार्च",
    "april apr avril avr abril abr aprile апреля апр أبريل अप्रैल",
    "may mai mei mayo maggio mag maio мая مايو मई",
    "june jun juni juin junio giugno giu junho июня июн يونيو जून",
    "july jul juli juillet juil julio luglio lug julho июля июл يوليو जुलाई",
    "august aug augustus août agosto ago agustus agu августа авг أغسطس अगस्त",
    "september sep sept septembre septiembre settembre set setembro сентября сент سبتمبر सितंबर",
    "october oct oktober okt octobre octubre ottobre ott outubro out октября окт أكتوبر अक्टूबर",
    "november nov novembre noviembre novembro nopember ноября нояб نوفمبر नवंबर",
    "december dec dezember dez décembre déc diciembre dic dicembre dezembro desember des декабря"
    " дек ديسمبر दिसंबर",
)
MONTHS: dict[str, int] = {
    name: number for number, names in enumerate(_MONTHS, 1) for name in names.split()
}

# Years of other calendars: the era written beside the year, and what to add to it.
ERAS = {"BE": -543, "พ.ศ.": -543, "R": 2018, "令和": 2018, "H": 1988, "平成": 1988, "民國": 1911}
