"""Words by which Chinese case texts are read, as patterns: persons, times, organs, findings, illnesses, tests, denials.

What is no finding although it contains the characters of one is left out by look-ahead ("back of the neck" is not
"after", weakness denies nothing). Written for this project from general medical Chinese.
"""

from __future__ import annotations

import re

# Not within brackets or quotation marks.
CLOSED = r"(?![^\uff08(]*[\uff09)])(?![^\u201c]*\u201d)(?=[^\"]*(?:\"[^\"]*\"[^\"]*)*$)"
STOP = re.compile(rf"(?:[\uff1b\u3002;]|\.(?=[\u4e00-\u9fff]))+\s*{CLOSED}")
COMMA = re.compile(rf"(?:\uff0c|(?<!\d),|,(?!\d{{3}}(?!\d)))+\s*{CLOSED}")  # "12,000" is one number
MARKS = " \uff0c\u3002\uff1b,;.\u3001"

# A patient (adult, child); a man, woman, boy, girl, or a woman who expects or bears a child; an age.
PERSON = re.compile(
    r"(?:(?P<who>患者|病人|患儿|新生儿)|(?P<sex>[男女][性婴孩童]?|[初经]?[孕产]妇)(?=[\uff0c,\u3002\s\d]|患|$)"
    r"|(?P<age>\d+(?:\.\d+)?\s*(?:岁(?:半|\d+个?月)?|个?月|天|周))(?=[\uff0c,\u3002\s]|的?[男女]|$))[\uff0c,\u3002\s的]*"
)
# Parents, siblings, grandparents, the family, husband and wife.
RELATIVE = re.compile(
    r"其?(?:父母?亲?|母(?!乳)亲?|兄弟?|弟|姐妹?|妹|外?祖(?!籍)[父母]?|家属|家族[中内]|配偶|丈夫|妻子)"
)

# How long; since when; during or after what (not "back of the neck", "middle of the belly"); suddenly, appears, feels,
# with, again and again, because of, suffers from, once had; without any cause.
SPAN = r"[约近达已]?\s?(?:\d+(?:[.~\uff5e-]\d+)?|[一二三四五六七八九十两半数几]+)\s?余?个?(?:[年月周天日]|小时|分钟)余?"
WHEN = rf"(?:{SPAN}(?:前|来|以来)?|昨[日晚]|今[日晨]|近[来日]|(?:发病|起病|患病)以来)"
AMID = (
    r"(?:[^、]{1,10}?(?:(?<![骨膜耳球枕眼此之以午])后(?![背颈穹枕壁遗])|(?<![小有同当及按定暂])时(?![间有常]))|"
    r"[^、]{0,8}?(?:睡眠|活动|劳动|运动|途)中)"
)
BEGINS = (
    r"(?:突发|突然|突起|发现|出现|发生|开始|自觉|感(?![染冒觉])|并?伴有?|并有|继而|反复(?:发作(?=[^性\d]))?|间断|逐渐|因(?!此)|"
    r"曾?患有?|曾有?|有(?![效过])|服用|口服|给?予)"
)
ONSET = re.compile(
    rf"^(?:患者|患儿|{RELATIVE.pattern})?(?:既往史?[:\uff1a]?)?{WHEN}?(?:无(?:明显)?诱因下?)?{WHEN}?{AMID}?{BEGINS}*"
)
LASTED = re.compile(rf"(?:(?:(?<![尿心肾肺肝脏性神血])病)?史)?\s*(?:{SPAN}(?:入院|就诊|来诊|来院)?)?$")

# Parts of the body with their sides; the signs of one; how what is said of one begins, so that it is no other word.
ORGAN = (
    "[左右双两全上下前后内外中单患侧近远端四]*(?:全身|头|颅|颜面|面|眼睑|眼眶|眼|球?结膜|巩膜|角膜|瞳孔|耳|鼻|口唇|口腔|唇|"
    "咽|喉|扁桃体|舌|牙龈|颈|甲状腺|胸廓|胸骨|胸|乳房|乳腺|肺|心尖|心前区|心|腹股沟|腹|胃|肝|脾|胆囊|肾|膀胱|囟|腰|骶|背|脊柱|"
    "肩|肘|腕|手|指|髋|膝|踝|足|趾|腿|肢|臀|关节|皮肤|黏膜|粘膜|淋巴结|肌肉|子宫|宫颈|宫体|附件|阴道|外阴|穹隆|阴囊|睾丸|"
    "前列腺|肛门|直肠|腋|躯干|伤口|切口)[部区侧缘面处间下内周体尖窝端壁甲腔背脏]*"
)
PLACE = re.compile(rf"(?>(?:{ORGAN})+)")
SIGN = r"(?:压痛|反跳痛|肌紧张|叩击?痛|触痛|举痛|红肿|肿胀|充血|膨隆|饱满)"
SUBJECT = re.compile(
    rf"{PLACE.pattern}(?={SIGN}|[稍略轻增肿大小软硬质光红柔平糜弥透肋叩触听未无有可\u2160-\u2164]|[左右]肋|明显|呼吸音|对称|[前后]位)"
)
ALLERGEN = "(?:药物|食物|海鲜|青霉素|磺胺)"
# Functions of body, senses and mind; allergens; signs and antibodies with a Latin name; what is told of all these.
NAMED = (
    rf"(?:体温|脉搏|血压|心率|精神|饮食|食欲|睡眠|体重|感觉|运动|视力|听力|记忆力|语言|吞咽|呼吸|排[尿便]|{ALLERGEN}|"
    r"[A-Z][A-Za-z0-9-]*(?:征|抗体)?)"
)
STATE = (
    r"均?(?:[轻中]度|明显)?(?:升高|增高|降低|下降|减低|减退|正常|异常|阳性|阴性|稳定|不振|欠佳|良好|尚可|[可差佳好]|"
    r"无(?:明显)?(?:变化|异常|改变)|困难|障碍|模糊|过敏)"
)
SEVERAL = r"分别|各|不等|不对称|不一|之间|交界|交替|相|差异|联合|粘连|比|共"  # true of all together, not of each

# Symptoms that need no place; findings of a place; illnesses. What is no finding, but feared, caused, or its course.
FELT = (
    r"(?:发热|[高低怕]热|寒战|畏寒|怕冷|汗|咳|嗽|痰|咯血|喘息?|吐|恶心|泻|便|便血|呕血|尿|尿频|尿急|尿少|多饮|晕|昏|厥|悸|心慌|"
    r"闷|促|气短|晨僵|带血|反酸|嗳气|困难|障碍|丧失|不清|模糊|失语|耳鸣|嘶哑|鼻塞|涕|喷嚏|抽搐|昏迷|嗜睡|失眠|烦躁|消瘦|乏力|疲乏|"
    r"纳差|不振|亢进|发绀|紫绀|黄疸|苍白|抖|脱发|(?:体重|视力|听力|记忆力|食欲|尿量).{0,2}(?:下降|减退|减轻|减少))$"
)
LOCAL = r"(?:痛|胀|麻木|肿|痒|皮疹|疱疹|斑|紫癜|感|无力|出血|流血|充血|溃疡|包块|肿[块物]|结节|占位|影)$"
FINDING = re.compile(f"{FELT}|{LOCAL}")
ILLNESS = (
    r"(?:病|伤寒|疟疾|痢疾|血压|炎|症|结核|癌|瘤|哮喘|结石|梗死|出血|卒中|骨折|不全|衰竭|综合征|贫血|溃疡|颤动|房颤)"
)
UNSURE = re.compile(
    rf"{SEVERAL}|[无未没不](?![力清振适安畅稳尽])|担心|害怕|怀疑|可能|有|自|引起|导致|诱发|发生|出现|于|治疗|预防|缓解|加[重剧]"
)
# A denial, but no word that only starts like one (weakness, painless, colourless, sterile, no symptoms, without cause)
# and no name of an illness: of the patient, a relative, an organ, an image; of nothing that is affirmed before it.
NO = (
    r"(?:无(?!力|痛(?!经|风)|色(?!素|觉)|[菌名效法论助数臭故端偿业盐]|症状|意(?!识)|关(?!节)|规[律则]|创(?!伤|口)|神(?!经|志)|"
    r"味(?!觉)|脉(?!搏)|牙(?!龈|痛)|性(?!生活)|[尿汗](?![\u4e00-\u9fff])|(?:明显|明确|特殊)?[诱原]因|欲貌|先兆|黄疸型|精子|"
    r"脑儿|排卵|功能性|休止|抽搐电)|没有|不伴有?)"
)
FINDS_NO = r"(?:否认|未(?:[闻触扪]及|见|引出|发现|查见|探及|及(?![时早])|找到|检出|诉)(?!(?:明显)?(?:好转|[缓消改减])))"
SUBJECTS = (
    rf"(?:患者|病人|患儿|本人|{RELATIVE.pattern}|既往|平素|病[中程]|近期|{WHEN}|{AMID}|体重|[大小]便|心界|肋下|各?瓣膜(?:听诊)?区?|"
    rf"听诊|触诊|浅表|病理(?:征|反射)|[^、]{{0,12}}?(?:检查|超声?|CT|MRI|片|镜检?|培养|电图|造影|X线)[提显]?示?|{PLACE.pattern}|[、及和])"
)
DENIAL = re.compile(
    rf"(?P<head>{SUBJECTS}{{0,4}}[均亦也并尚且仍]?(?:{FINDS_NO}|{NO})(?:曾?有)?(?:明显|明确|特殊|其他)?)(?P<list>.*)"
)
# Items of a list that the denial before it does not reach: they have a verb or a state of their own.
AFFIRMED = re.compile(
    rf"^(?:[有可能但呈仍伴为系尚无未不否少多频剧偶]|反而|明显|持续|大量|反复|阵发|[轻中重]度|{RELATIVE.pattern})|患(?!者)|[:\uff1a+\d]|"
    r"(?:[好差可佳清软硬齐整稀]|清楚|正常|良好|规律|光滑|低钝|加[重剧]|(?<!体重)减[轻弱少]|缓解|好转|[阳阴]性|增[多强]|[升降][高低]|"
    r"消失|亢进|活跃|频繁|剧烈|明显|干[结燥])$"
)
# What was not done, or is not the case; what turned out negative.
NOT_DONE = re.compile(
    r"(?:患者|本人|平素|从)*(?:未(?:[行予用服治诊就再曾感]|接(?!触)|规律|正规|系统|出现|发生)|不(?:发热|吸烟|饮酒|[咳痛痒吐]))"
)
NEGATIVE = re.compile(r"(?!.*(?:阳性|[+、])).*(?:(?<!兰)(?<!兰氏)(?<!三)阴性|[\uff08(][-\uff0d\u2212][\uff09)])")
AND = re.compile(
    r"、|(?<![以触扪闻波累危普叩涉探未])及(?![时其早])|(?<![饱温缓平中柔总])和(?![缓谐])|(?<=.)(?=并伴)|(?<=[^并、])(?=伴)"
)
# Left and right, up and down, in and out, dry and wet rales, heart and lungs, liver and spleen.
TWO = re.compile(
    r"(左)、(右)|(上)、(下)|(内)、(外)|(干)、?(湿)(?=性?[啰罗]音)|(大)、?(小)(?=便)"
    r"|(心)、?(肺)(?=听诊|查体|检查|均?[无未]|正常|[(\uff08])|(肝)、?(脾)(?=肋|均?[无未不]|肿?大)"
)
# Illness, operation, injury, transfusion: nobody is allergic to these. What may be parted in a denial.
EVENT = re.compile(rf"(?:{ILLNESS}|手术|外伤|输血)$")
DENIABLE = re.compile(
    rf"{FINDING.pattern}|{EVENT.pattern}|{SIGN}$|史$|^{ALLERGEN}$|肿大$|黄染$|现象$|密度[灶影]$|(?:啰音|杂音|摩擦音)$"
)

# Headings; tests, each with what can be nothing but a result of it.
HEADING = re.compile(r"(?P<heading>(?!既往)[^:\uff1a、\d]{1,16}[:\uff1a])?(?P<said>.*)", re.DOTALL)
VALUE = r"(?:[升增]高|降低|下降|减少|增多|正常|[阳阴]性|满视野|[^\u4e00-\u9fff]*[\d+-][^\u4e00-\u9fff]*(?:个?/\w+)?)"
SEEN = r"(?!.*(?:[史患行示曾]|CT|MRI|X线|超|[平胸]片|镜)).*"
RESULTS = {
    "血常规|血象": f"(?:WBC|RBC|Hb|MC[VH]C?|PLT|[白红]细胞|血红蛋白|血小板|网织红细胞){VALUE}|可见.{{1,8}}细胞",
    "尿常规": f"尿?(?:蛋白|糖|酮体|比重|[潜隐]血|[白红]细胞|[WR]BC|pH|[^、]{{0,4}}管型){VALUE}",
    "血气": f"(?:pH|P[aA]?C?O[2\u2082]|HCO3-?|BE|SaO2){VALUE}",
    "肝功": f"(?:ALT|AST|GGT|ALP|(?:总|直接|间接)?胆红素|白蛋白|谷[丙草]转氨酶){VALUE}",
    "肾功": f"(?:S?Cr|BUN|(?:血清?)?肌酐|尿素氮|血?尿酸){VALUE}",
    "CT|MRI|X线|[平胸]片|超": f"{SEEN}(?:影(?!响)|密度|回声|纹理|透亮度|毛玻璃|充气征|信号|占位|[胆胰]总?管扩张).*",
    "心电图|ECG": f"{SEEN}(?:ST段|[TPQ]波|QRS|P-?R间期|QT间期|导联|电轴|传导阻滞|窦性).*",
}

# What can only be said of the organ before it, or of a lump in it; clauses that say nothing by themselves: of the form,
# course, relief, place, quality, treatment, amount or outcome of something; what may still be said of a relative.
FORM = r"(?:质[地软硬韧中]|边[界缘]|表面|活动度|与.+粘连|随.+动)"
OF_ORGAN = re.compile(
    rf".*(?:(?:甲状腺|乳[腺房]|淋巴结|肝|脾|子宫|宫颈|附件|前列腺|睾丸)(?:{FORM}|[有无]?{SIGN})|(?:腹|关节)[部区]?[有无]?{SIGN}|"
    r"肺[可未]闻及[^、心]*(?:[啰罗]音|哮鸣音|呼吸音|胸膜摩擦音)|甲状腺[可未]闻及血管杂音|腹部?[可未]闻及肠鸣音).*"
)
LUMP = re.compile(r"触及|肿[块物瘤]|包块|结节|占位|溃疡|[斑疹]")
SAYS_NOTHING = re.compile(
    rf"{FORM}|呈(?!.*[貌容位态])|(?![^、]*[痛疼咳热吐肿疹斑喘晕闷][^、]*[后时中])(?:{WHEN}|{AMID}|夜间|晨起|清晨|午后|休息|平卧|"
    r"(?:含服|口服|服用?|予|给予|经|应用|使用|外用|自服)[^、]*?)?"
    r"(?:症状|[可能未不无稍仍均常多]|明显|迅速|逐渐|进行性|自行|难以|完全|有所|反复)*"
    r"(?:缓解|减轻|加[重剧]|好转|改善|消[失退]|[无有]效|不退|增[大多]|扩大|明显|尤甚|诱发|发作|为甚)(?:明显)?"
    rf"(?:{SPAN})?$|持续(?:[不约数至\d半]|存在|加重)|每(?:次(?:持续|约|历时|量)|.+(?:发作|加重|诱发)$)|[多常均仅](?:[于在为呈]|见于)"
    r"|(?:尤?以|可?向).+(?:[著主甚重]|明显|放射|扩散|蔓延)|[可并]?(?:迅速|逐渐|随即)?(?:波及|扩散|放射|蔓延|延及|牵涉|转移|累及)"
    r"|(?:治疗|用药)?[效疗]果|疗效|[量色味](?![素觉表])[^、]{1,6}$|未(?:[予经诊治]|行(?!走)|规律|正规|系统|坚持|就[诊医]|用药|服药)"
    r"|(?:(?:直径|大小)?约|共|最[高多大长]达?|每[日天周月年晚]约?)\s*\d[\d.~\uff5e-]*\s?[^\s、\d]{0,8}$|"
    r"(?:直径|大小)?\d[\d.~\u00d7-]*\s*(?:[A-Za-z\u03bc%℃]+|[支次]/[日天])$|(?:此后|其后|以后|之后)(?:未|仍|反复|逐渐|症状)"
)
OF_RELATIVE = re.compile(r"[无有曾均也亦]|[未已](?!婚)|患(?![儿者])|死于|产前|孕期|长期|健在|体健")
