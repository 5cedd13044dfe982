"""Every term of ``ontoidps.owl``, closed and typed: a misspelt one fails on use and in mypy.

The tests compare these names with the file in both directions. Nothing heavy is imported here: all
agent processes load this module.
"""

from __future__ import annotations

from typing import Final

ONTOLOGY_IRI: Final = "https://w3id.org/ontoidps"
ONTOLOGY_VERSION: Final = "1.0.0"
"""``owl:versionInfo`` of the file, which agents announce."""
NAMESPACE: Final = ONTOLOGY_IRI + "#"
HOST_PREFIX: Final = "urn:ontoidps:host:"
"""A host's individual is this and its address."""


class Term(str):
    """The full IRI of a term; as a string it goes wherever an IRI goes."""

    __slots__ = ()

    @property
    def local_name(self) -> str:
        """What stands after the ``#``."""
        return self.removeprefix(NAMESPACE)


def _term(name: str) -> Term:
    return Term(NAMESPACE + name)


class Classes:
    """OWL classes."""

    AckFlood: Final = _term("AckFlood")
    AckScan: Final = _term("AckScan")
    ActionModel: Final = _term("ActionModel")
    Agent: Final = _term("Agent")
    AgentDescription: Final = _term("AgentDescription")
    AgentStatus: Final = _term("AgentStatus")
    Alert: Final = _term("Alert")
    AmplificationFlood: Final = _term("AmplificationFlood")
    AnalyzerAgent: Final = _term("AnalyzerAgent")
    Answer: Final = _term("Answer")
    ArpSpoofing: Final = _term("ArpSpoofing")
    ArpSweep: Final = _term("ArpSweep")
    Attack: Final = _term("Attack")
    AttackModel: Final = _term("AttackModel")
    AttackScenario: Final = _term("AttackScenario")
    AuditLine: Final = _term("AuditLine")
    Ban: Final = _term("Ban")
    BanAction: Final = _term("BanAction")
    Block: Final = _term("Block")
    BlockCandidate: Final = _term("BlockCandidate")
    BlocksInForce: Final = _term("BlocksInForce")
    BruteForce: Final = _term("BruteForce")
    BruteForceThenInstallationIncident: Final = _term("BruteForceThenInstallationIncident")
    BufferOverflow: Final = _term("BufferOverflow")
    CommandInjection: Final = _term("CommandInjection")
    CompromisedHostIncident: Final = _term("CompromisedHostIncident")
    ConfigurationAbuse: Final = _term("ConfigurationAbuse")
    ConnectScan: Final = _term("ConnectScan")
    ConnectionBatch: Final = _term("ConnectionBatch")
    ConsoleAgent: Final = _term("ConsoleAgent")
    CorrelationAgent: Final = _term("CorrelationAgent")
    CountermeasureModel: Final = _term("CountermeasureModel")
    CrossSiteScripting: Final = _term("CrossSiteScripting")
    DatabaseBruteForce: Final = _term("DatabaseBruteForce")
    Decision: Final = _term("Decision")
    DenialOfService: Final = _term("DenialOfService")
    DhcpStarvation: Final = _term("DhcpStarvation")
    DisplayCapture: Final = _term("DisplayCapture")
    Event: Final = _term("Event")
    Exploit: Final = _term("Exploit")
    FeedPart: Final = _term("FeedPart")
    FinScan: Final = _term("FinScan")
    Finding: Final = _term("Finding")
    Flood: Final = _term("Flood")
    FloodFinding: Final = _term("FloodFinding")
    FloodIncident: Final = _term("FloodIncident")
    FragmentAttack: Final = _term("FragmentAttack")
    FtpBruteForce: Final = _term("FtpBruteForce")
    Gateway: Final = _term("Gateway")
    GatewayAddresses: Final = _term("GatewayAddresses")
    Honeypot: Final = _term("Honeypot")
    HoneypotBruteForceFinding: Final = _term("HoneypotBruteForceFinding")
    HoneypotBruteForceIncident: Final = _term("HoneypotBruteForceIncident")
    HoneypotContact: Final = _term("HoneypotContact")
    HoneypotExploitFinding: Final = _term("HoneypotExploitFinding")
    CustomIncident: Final = _term("CustomIncident")
    HoneypotExploitIncident: Final = _term("HoneypotExploitIncident")
    Host: Final = _term("Host")
    HostEvent: Final = _term("HostEvent")
    HostProfile: Final = _term("HostProfile")
    HostSweep: Final = _term("HostSweep")
    HttpBruteForce: Final = _term("HttpBruteForce")
    IcmpFlood: Final = _term("IcmpFlood")
    IcmpSweep: Final = _term("IcmpSweep")
    IdleScan: Final = _term("IdleScan")
    IllicitFileTransfer: Final = _term("IllicitFileTransfer")
    Incident: Final = _term("Incident")
    InformationDisclosure: Final = _term("InformationDisclosure")
    Intrusion: Final = _term("Intrusion")
    IntrusionState: Final = _term("IntrusionState")
    Invalidation: Final = _term("Invalidation")
    KnowledgePiece: Final = _term("KnowledgePiece")
    LabelledTraffic: Final = _term("LabelledTraffic")
    LandAttack: Final = _term("LandAttack")
    MailBruteForce: Final = _term("MailBruteForce")
    MailFlood: Final = _term("MailFlood")
    MaimonScan: Final = _term("MaimonScan")
    MalwareInstallation: Final = _term("MalwareInstallation")
    ModelCondition: Final = _term("ModelCondition")
    ModelConstant: Final = _term("ModelConstant")
    ModelPredicate: Final = _term("ModelPredicate")
    ModelTerm: Final = _term("ModelTerm")
    ModelVariable: Final = _term("ModelVariable")
    MultiHoneypotScanIncident: Final = _term("MultiHoneypotScanIncident")
    MultihopIntrusion: Final = _term("MultihopIntrusion")
    NeighbourFlood: Final = _term("NeighbourFlood")
    Network: Final = _term("Network")
    NetworkNode: Final = _term("NetworkNode")
    NodeUnderBufferOverflow: Final = _term("NodeUnderBufferOverflow")
    NullScan: Final = _term("NullScan")
    ObjectiveModel: Final = _term("ObjectiveModel")
    ObservedData: Final = _term("ObservedData")
    OntologicalRule: Final = _term("OntologicalRule")
    OntologyAction: Final = _term("OntologyAction")
    OntologyAgent: Final = _term("OntologyAgent")
    OntologyChanged: Final = _term("OntologyChanged")
    OutgoingAttack: Final = _term("OutgoingAttack")
    OutgoingBeacon: Final = _term("OutgoingBeacon")
    OutgoingBruteForce: Final = _term("OutgoingBruteForce")
    OutgoingContact: Final = _term("OutgoingContact")
    OutgoingExploit: Final = _term("OutgoingExploit")
    OutgoingFlood: Final = _term("OutgoingFlood")
    OutgoingScan: Final = _term("OutgoingScan")
    OwnHostFinding: Final = _term("OwnHostFinding")
    PacketEvidence: Final = _term("PacketEvidence")
    PathTraversal: Final = _term("PathTraversal")
    Penetration: Final = _term("Penetration")
    PingOfDeath: Final = _term("PingOfDeath")
    PortScan: Final = _term("PortScan")
    PreconditionIntrusionState: Final = _term("PreconditionIntrusionState")
    PrivilegeEscalation: Final = _term("PrivilegeEscalation")
    ProtectedHost: Final = _term("ProtectedHost")
    ProtocolScan: Final = _term("ProtocolScan")
    Query: Final = _term("Query")
    RdpBruteForce: Final = _term("RdpBruteForce")
    ReactionAgent: Final = _term("ReactionAgent")
    ReactionRule: Final = _term("ReactionRule")
    Receipt: Final = _term("Receipt")
    Record: Final = _term("Record")
    RemoteOverflow: Final = _term("RemoteOverflow")
    RemoteShell: Final = _term("RemoteShell")
    ResourceExhaustion: Final = _term("ResourceExhaustion")
    RogueRouter: Final = _term("RogueRouter")
    RootAccess: Final = _term("RootAccess")
    Rootkit: Final = _term("Rootkit")
    RpcProbe: Final = _term("RpcProbe")
    Rule: Final = _term("Rule")
    Ruling: Final = _term("Ruling")
    Scan: Final = _term("Scan")
    ScanThenBruteForceIncident: Final = _term("ScanThenBruteForceIncident")
    ScanThenExploitIncident: Final = _term("ScanThenExploitIncident")
    ScenarioBlockCandidate: Final = _term("ScenarioBlockCandidate")
    ScenarioIncident: Final = _term("ScenarioIncident")
    SensorAgent: Final = _term("SensorAgent")
    SequencePrediction: Final = _term("SequencePrediction")
    Signature: Final = _term("Signature")
    SlowPortScan: Final = _term("SlowPortScan")
    SlowSweep: Final = _term("SlowSweep")
    SmbBruteForce: Final = _term("SmbBruteForce")
    SnmpBruteForce: Final = _term("SnmpBruteForce")
    SpoofedLogin: Final = _term("SpoofedLogin")
    Spoofing: Final = _term("Spoofing")
    Spying: Final = _term("Spying")
    SqlInjection: Final = _term("SqlInjection")
    SshBruteForce: Final = _term("SshBruteForce")
    State: Final = _term("State")
    Subscription: Final = _term("Subscription")
    SupervisorAgent: Final = _term("SupervisorAgent")
    SynFlood: Final = _term("SynFlood")
    SynScan: Final = _term("SynScan")
    TcpSweep: Final = _term("TcpSweep")
    TelnetBruteForce: Final = _term("TelnetBruteForce")
    TrafficCase: Final = _term("TrafficCase")
    TrafficCluster: Final = _term("TrafficCluster")
    Tunnelling: Final = _term("Tunnelling")
    UdpFlood: Final = _term("UdpFlood")
    UdpScan: Final = _term("UdpScan")
    UdpSweep: Final = _term("UdpSweep")
    UnknownAnomaly: Final = _term("UnknownAnomaly")
    VersionScan: Final = _term("VersionScan")
    WebAttack: Final = _term("WebAttack")
    Worm: Final = _term("Worm")
    XmasScan: Final = _term("XmasScan")


class ObjectProperties:
    """OWL object properties: from an individual to an individual."""

    agentOnHost: Final = _term("agentOnHost")
    answersQuery: Final = _term("answersQuery")
    bringsAboutState: Final = _term("bringsAboutState")
    bruteForceThenInstallation: Final = _term("bruteForceThenInstallation")
    carriesOut: Final = _term("carriesOut")
    causedBy: Final = _term("causedBy")
    concernsBan: Final = _term("concernsBan")
    confirmedBlock: Final = _term("confirmedBlock")
    correlatedWith: Final = _term("correlatedWith")
    describesHost: Final = _term("describesHost")
    directedTo: Final = _term("directedTo")
    evidenceOf: Final = _term("evidenceOf")
    firstTerm: Final = _term("firstTerm")
    generatedBy: Final = _term("generatedBy")
    hasBlock: Final = _term("hasBlock")
    hasBroadcastAddress: Final = _term("hasBroadcastAddress")
    hasOwnAddress: Final = _term("hasOwnAddress")
    hasPostcondition: Final = _term("hasPostcondition")
    hasPrecondition: Final = _term("hasPrecondition")
    hasRouter: Final = _term("hasRouter")
    hasSignature: Final = _term("hasSignature")
    hasSource: Final = _term("hasSource")
    hasTarget: Final = _term("hasTarget")
    inCluster: Final = _term("inCluster")
    indirectlyCorrelatedWith: Final = _term("indirectlyCorrelatedWith")
    inNetwork: Final = _term("inNetwork")
    involvesSource: Final = _term("involvesSource")
    involvesTarget: Final = _term("involvesTarget")
    knownBy: Final = _term("knownBy")
    matchedSignature: Final = _term("matchedSignature")
    multiHoneypotScan: Final = _term("multiHoneypotScan")
    observedOnHost: Final = _term("observedOnHost")
    ofPredicate: Final = _term("ofPredicate")
    partOfAnnouncement: Final = _term("partOfAnnouncement")
    partOfScenario: Final = _term("partOfScenario")
    preconditionIntrusionState: Final = _term("preconditionIntrusionState")
    receiptOf: Final = _term("receiptOf")
    requiresState: Final = _term("requiresState")
    restsOnAlert: Final = _term("restsOnAlert")
    restsOnHostEvent: Final = _term("restsOnHostEvent")
    restsOnIncident: Final = _term("restsOnIncident")
    scanThenBruteForce: Final = _term("scanThenBruteForce")
    scanThenExploit: Final = _term("scanThenExploit")
    scenarioStep: Final = _term("scenarioStep")
    secondTerm: Final = _term("secondTerm")
    statusOf: Final = _term("statusOf")
    thirdTerm: Final = _term("thirdTerm")


class DataProperties:
    """OWL data properties: from an individual to a literal."""

    act: Final = _term("act")
    action: Final = _term("action")
    actor: Final = _term("actor")
    addressFamily: Final = _term("addressFamily")
    advice: Final = _term("advice")
    affectedService: Final = _term("affectedService")
    affectedSystem: Final = _term("affectedSystem")
    agentName: Final = _term("agentName")
    agentRole: Final = _term("agentRole")
    agentState: Final = _term("agentState")
    analyzer: Final = _term("analyzer")
    askedUrl: Final = _term("askedUrl")
    assetValue: Final = _term("assetValue")
    attackClass: Final = _term("attackClass")
    auditedDateTime: Final = _term("auditedDateTime")
    auditedUs: Final = _term("auditedUs")
    banAction: Final = _term("banAction")
    banState: Final = _term("banState")
    beginDateTime: Final = _term("beginDateTime")
    beginUs: Final = _term("beginUs")
    blockState: Final = _term("blockState")
    boundTo: Final = _term("boundTo")
    capability: Final = _term("capability")
    captureData: Final = _term("captureData")
    caseCount: Final = _term("caseCount")
    changedDateTime: Final = _term("changedDateTime")
    changedUs: Final = _term("changedUs")
    citedPacket: Final = _term("citedPacket")
    classification: Final = _term("classification")
    classtype: Final = _term("classtype")
    clientFingerprint: Final = _term("clientFingerprint")
    closesSnapshot: Final = _term("closesSnapshot")
    clusterDistance: Final = _term("clusterDistance")
    clusterName: Final = _term("clusterName")
    clusterNumber: Final = _term("clusterNumber")
    commandLine: Final = _term("commandLine")
    conditions: Final = _term("conditions")
    confidence: Final = _term("confidence")
    connectionCount: Final = _term("connectionCount")
    connections: Final = _term("connections")
    contentDigest: Final = _term("contentDigest")
    contentPattern: Final = _term("contentPattern")
    count: Final = _term("count")
    cve: Final = _term("cve")
    d3fendId: Final = _term("d3fendId")
    decidedDateTime: Final = _term("decidedDateTime")
    decidedUs: Final = _term("decidedUs")
    decisionScope: Final = _term("decisionScope")
    destinationPorts: Final = _term("destinationPorts")
    detail: Final = _term("detail")
    dissection: Final = _term("dissection")
    dropped: Final = _term("dropped")
    dtpname: Final = _term("dtpname")
    durationFactor: Final = _term("durationFactor")
    durationS: Final = _term("durationS")
    endDateTime: Final = _term("endDateTime")
    endUs: Final = _term("endUs")
    endedBy: Final = _term("endedBy")
    endedDateTime: Final = _term("endedDateTime")
    endedUs: Final = _term("endedUs")
    eventKind: Final = _term("eventKind")
    evidencedBy: Final = _term("evidencedBy")
    evidencePackets: Final = _term("evidencePackets")
    executable: Final = _term("executable")
    expiresDateTime: Final = _term("expiresDateTime")
    expiresUs: Final = _term("expiresUs")
    explanation: Final = _term("explanation")
    featureValues: Final = _term("featureValues")
    feed: Final = _term("feed")
    fileBytes: Final = _term("fileBytes")
    fileHash: Final = _term("fileHash")
    fileName: Final = _term("fileName")
    filePath: Final = _term("filePath")
    fixedVulnerability: Final = _term("fixedVulnerability")
    fragment: Final = _term("fragment")
    gateway: Final = _term("gateway")
    health: Final = _term("health")
    holds: Final = _term("holds")
    hostRole: Final = _term("hostRole")
    inputKind: Final = _term("inputKind")
    ipAddress: Final = _term("ipAddress")
    knowledgeKind: Final = _term("knowledgeKind")
    leaseS: Final = _term("leaseS")
    lineHash: Final = _term("lineHash")
    lineNumber: Final = _term("lineNumber")
    loginName: Final = _term("loginName")
    malformed: Final = _term("malformed")
    memberCount: Final = _term("memberCount")
    modelDigest: Final = _term("modelDigest")
    modelName: Final = _term("modelName")
    needsAll: Final = _term("needsAll")
    negated: Final = _term("negated")
    networkAddress: Final = _term("networkAddress")
    node: Final = _term("node")
    observedPort: Final = _term("observedPort")
    omittedPackets: Final = _term("omittedPackets")
    onAssetClass: Final = _term("onAssetClass")
    onAttackClass: Final = _term("onAttackClass")
    onService: Final = _term("onService")
    ontologyVersion: Final = _term("ontologyVersion")
    ontologyAction: Final = _term("ontologyAction")
    openPort: Final = _term("openPort")
    opensSnapshot: Final = _term("opensSnapshot")
    operatingSystem: Final = _term("operatingSystem")
    origin: Final = _term("origin")
    outcome: Final = _term("outcome")
    packets: Final = _term("packets")
    parameterTypes: Final = _term("parameterTypes")
    parentProcessId: Final = _term("parentProcessId")
    partDigests: Final = _term("partDigests")
    partNumber: Final = _term("partNumber")
    pieceCount: Final = _term("pieceCount")
    pieceData: Final = _term("pieceData")
    pieceNumber: Final = _term("pieceNumber")
    processId: Final = _term("processId")
    program: Final = _term("program")
    protectedBy: Final = _term("protectedBy")
    protocol: Final = _term("protocol")
    purity: Final = _term("purity")
    radius: Final = _term("radius")
    ranCommand: Final = _term("ranCommand")
    reason: Final = _term("reason")
    receivedDateTime: Final = _term("receivedDateTime")
    receivedUs: Final = _term("receivedUs")
    reference: Final = _term("reference")
    renewedDateTime: Final = _term("renewedDateTime")
    renewedUs: Final = _term("renewedUs")
    response: Final = _term("response")
    responseReason: Final = _term("responseReason")
    results: Final = _term("results")
    rootShell: Final = _term("rootShell")
    rule: Final = _term("rule")
    ruleGroup: Final = _term("ruleGroup")
    runsAgent: Final = _term("runsAgent")
    sampleConnection: Final = _term("sampleConnection")
    sampleFile: Final = _term("sampleFile")
    securityGrade: Final = _term("securityGrade")
    sensor: Final = _term("sensor")
    sensorPriority: Final = _term("sensorPriority")
    service: Final = _term("service")
    serviceOnHost: Final = _term("serviceOnHost")
    sessionName: Final = _term("sessionName")
    severity: Final = _term("severity")
    signatureId: Final = _term("signatureId")
    signatureRevision: Final = _term("signatureRevision")
    sinceDateTime: Final = _term("sinceDateTime")
    sinceUs: Final = _term("sinceUs")
    sourceCount: Final = _term("sourceCount")
    sourcePorts: Final = _term("sourcePorts")
    sparql: Final = _term("sparql")
    stage: Final = _term("stage")
    stateReached: Final = _term("stateReached")
    subject: Final = _term("subject")
    succeeded: Final = _term("succeeded")
    targetCount: Final = _term("targetCount")
    targetOntology: Final = _term("targetOntology")
    targetPort: Final = _term("targetPort")
    termName: Final = _term("termName")
    termType: Final = _term("termType")
    topic: Final = _term("topic")
    trafficClass: Final = _term("trafficClass")
    transportName: Final = _term("transportName")
    triedCredential: Final = _term("triedCredential")
    truncated: Final = _term("truncated")
    unsupportedOption: Final = _term("unsupportedOption")
    userName: Final = _term("userName")
    verifiedSource: Final = _term("verifiedSource")
    version: Final = _term("version")


class AnnotationProperties:
    """OWL annotation properties."""

    audience: Final = _term("audience")
    formality: Final = _term("formality")
    kddName: Final = _term("kddName")
    knowledgeSource: Final = _term("knowledgeSource")
    scope: Final = _term("scope")
    snortClasstype: Final = _term("snortClasstype")
    techniqueId: Final = _term("techniqueId")


class IDPS(Classes, ObjectProperties, DataProperties, AnnotationProperties):
    """All terms: ``IDPS.hasSource``, ``IDPS.SynScan``."""


TERMS: Final = frozenset(
    term
    for space in (Classes, ObjectProperties, DataProperties, AnnotationProperties)
    for term in vars(space).values()
    if isinstance(term, Term)
)
"""The IRIs of all of them."""

PARENTS: Final[dict[str, str]] = {
    # Attack
    "Scan": "Attack",
    "PortScan": "Scan",
    "SynScan": "PortScan",
    "ConnectScan": "PortScan",
    "FinScan": "PortScan",
    "NullScan": "PortScan",
    "XmasScan": "PortScan",
    "AckScan": "PortScan",
    "MaimonScan": "PortScan",
    "IdleScan": "PortScan",
    "UdpScan": "PortScan",
    "VersionScan": "PortScan",
    "ProtocolScan": "PortScan",
    "SlowPortScan": "PortScan",
    "HostSweep": "Scan",
    "IcmpSweep": "HostSweep",
    "TcpSweep": "HostSweep",
    "UdpSweep": "HostSweep",
    "ArpSweep": "HostSweep",
    "SlowSweep": "HostSweep",
    "BruteForce": "Penetration",
    "FtpBruteForce": "BruteForce",
    "SshBruteForce": "BruteForce",
    "TelnetBruteForce": "BruteForce",
    "HttpBruteForce": "BruteForce",
    "MailBruteForce": "BruteForce",
    "DatabaseBruteForce": "BruteForce",
    "SmbBruteForce": "BruteForce",
    "RdpBruteForce": "BruteForce",
    "DenialOfService": "Invalidation",
    "Flood": "DenialOfService",
    "SynFlood": "Flood",
    "UdpFlood": "Flood",
    "IcmpFlood": "Flood",
    "AckFlood": "Flood",
    "NeighbourFlood": "Flood",
    "AmplificationFlood": "Flood",
    "Exploit": "Penetration",
    "WebAttack": "Exploit",
    "SqlInjection": "WebAttack",
    "CrossSiteScripting": "WebAttack",
    "PathTraversal": "WebAttack",
    "CommandInjection": "WebAttack",
    "BufferOverflow": "Exploit",
    "RootAccess": "PrivilegeEscalation",
    "Spoofing": "Attack",
    "ArpSpoofing": "Spoofing",
    "RogueRouter": "Spoofing",
    "SequencePrediction": "Spoofing",
    "SpoofedLogin": "Spoofing",
    "OutgoingAttack": "Attack",
    "OutgoingScan": "OutgoingAttack",
    "OutgoingFlood": "OutgoingAttack",
    "OutgoingBruteForce": "OutgoingAttack",
    "OutgoingExploit": "OutgoingAttack",
    "OutgoingBeacon": "OutgoingAttack",
    "OutgoingContact": "OutgoingAttack",
    "RpcProbe": "Scan",
    "RemoteShell": "Exploit",
    "MalwareInstallation": "Attack",
    "HoneypotContact": "Attack",
    "UnknownAnomaly": "Attack",
    "Invalidation": "Attack",
    "Penetration": "Attack",
    "LandAttack": "DenialOfService",
    "FragmentAttack": "DenialOfService",
    "PingOfDeath": "FragmentAttack",
    "ResourceExhaustion": "DenialOfService",
    "DhcpStarvation": "ResourceExhaustion",
    "MailFlood": "Flood",
    "Worm": "Exploit",
    "SnmpBruteForce": "BruteForce",
    "InformationDisclosure": "Exploit",
    "Spying": "InformationDisclosure",
    "DisplayCapture": "InformationDisclosure",
    "IllicitFileTransfer": "Exploit",
    "ConfigurationAbuse": "Exploit",
    "Tunnelling": "Exploit",
    "MultihopIntrusion": "Exploit",
    "PrivilegeEscalation": "Exploit",
    "Rootkit": "PrivilegeEscalation",
    "RemoteOverflow": "BufferOverflow",
    # Incident
    "ScanThenBruteForceIncident": "Incident",
    "ScanThenExploitIncident": "Incident",
    "MultiHoneypotScanIncident": "Incident",
    "FloodIncident": "Incident",
    "CompromisedHostIncident": "Incident",
    "HoneypotBruteForceIncident": "Incident",
    "CustomIncident": "Incident",
    "HoneypotExploitIncident": "Incident",
    "ScenarioIncident": "Incident",
    "BruteForceThenInstallationIncident": "Incident",
    # Host
    "Honeypot": "Host",
    "Gateway": "Host",
    "ProtectedHost": "Host",
    "NodeUnderBufferOverflow": "Host",
}
"""Local name of each attack, incident and host class, and of its direct superclass."""


def superclasses(name: str) -> tuple[str, ...]:
    """Local names of all superclasses within its taxonomy, nearest first; () for a root.

    ``superclasses("SynScan")`` is ``("PortScan", "Scan", "Attack")``.
    """
    found: list[str] = []
    while name in PARENTS:
        name = PARENTS[name]
        found.append(name)
    return tuple(found)


def _under(root: str) -> frozenset[str]:
    return frozenset(name for name in PARENTS if superclasses(name)[-1] == root)


ATTACK_CLASSES: Final = _under("Attack")
"""What an alert may be classified as: everything under ``Attack``, parents included."""
INCIDENT_CLASSES: Final = _under("Incident")
HOST_CLASSES: Final = _under("Host")
"""Roles of hosts."""

NORMAL: Final = "Normal"
"""Class of benign traffic."""
TRAFFIC_CLASSES: Final = ATTACK_CLASSES | {NORMAL}
"""What traffic, and a cluster of it, may be labelled as."""
