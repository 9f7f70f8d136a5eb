"""Active ISO 4217 currencies with their number of decimals, and codes that were withdrawn.

Source: ISO 4217 list one (currencies in use) and list three (historic codes), as of January 2026.
Funds, bond units, metals and test codes are left out: no invoice is written in them.
"""

from typing import Final

_SCALE_0: Final = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"
_SCALE_2: Final = (
    "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP "
    "CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS "
    "INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN "
    "MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE "
    "SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR "
    "ZMW ZWG"
)
_SCALE_3: Final = "BHD IQD JOD KWD LYD OMR TND"
_RETIRED: Final = (
    "ADP ANG ATS AZM BEF BGL BGN BYB BYR CSD CSK CUC CYP DDM DEM ECS EEK ESP FIM FRF GHC GRD GWP HRD HRK IEP "
    "ITL LTL LUF LVL MGF MRO MTL MXP MZM NLG PTE ROL RUR SDD SIT SKK SLL SRG STD SUR TMM TRL VEB VEF XEU YUM "
    "ZMK ZRN ZWD ZWL ZWN ZWR"
)

SCALES: Final[dict[str, int]] = {
    code: scale for scale, codes in ((0, _SCALE_0), (2, _SCALE_2), (3, _SCALE_3)) for code in codes.split()
}
RETIRED: Final = frozenset(_RETIRED.split())
